// `brutus-share open`: the page out of the reader's own program, for a share of any server, which gives it no script.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import { live, openPage, setUp, titled } from '../lib/browser.mjs'
import { answer, prompt, session, text } from '../lib/items.mjs'
import { start } from '../lib/process.mjs'
import { Relay } from '../lib/relay.mjs'
import { BINARY } from '../lib/server.mjs'

const { browser, server } = await setUp()
const relay = await Relay.start(server.url)
after(() => relay.close())

/** Shares a session, opens its link with the program, and shows that page. */
async function opened(id, terms) {
  const data = [session({ title: 'Kept from its server' }), ...prompt('Who reads this?'), ...answer([text('You do.')])]
  const { json } = await relay.request('POST', `/v1/sessions/${id}/share`, { data, ...terms })
  const flush = () => relay.request('POST', `/v1/sessions/${id}/flush`)
  assert.equal((await flush()).status, 200)
  const program = await start(BINARY, ['open', '--no-browser', json.url], { ready: /^(http:\S+)$/m, name: 'open' })
  const page = await openPage(browser)
  after(() => program.stop())
  const [, url] = program.match
  await page.goto(url)
  return { page, url, host: new URL(url).host, flush }
}

test('an encrypted session is read live, and its server is not asked for a page', async () => {
  const { page, url, host, flush } = await opened('ses_1', { sealed: true })
  await live(page)
  await titled(page, /Kept from its server/)
  await page.locator('.answer', { hasText: 'You do.' }).waitFor()
  const [message, part] = answer([text('And now, too.')])
  const events = [message, part].map(({ type, data }) => ({ type: `${type}.updated`, sessionID: 'ses_1', data }))
  assert.equal((await relay.request('POST', '/v1/events', events)).status, 202)
  await flush()
  await page.locator('.answer', { hasText: 'And now, too.' }).waitFor()
  assert.deepEqual([...page.record.hosts], [host])
  assert.deepEqual(page.record.errors, [])
  assert.equal(page.url().split('#')[0], url.split('#')[0])
})

test('a phrase is asked for', async () => {
  const { page, host } = await opened('ses_2', { phrase: 'пароль 🔑' })
  await page.getByLabel('Phrase').fill('пароль 🔑')
  await page.keyboard.press('Enter')
  await page.locator('.answer', { hasText: 'You do.' }).waitFor()
  assert.deepEqual([...page.record.hosts], [host])
})
