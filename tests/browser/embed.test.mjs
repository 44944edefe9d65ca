// A session in a frame of another page: where the operator allows it, and there alone.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'

import { answer, launch, openPage, openShare, prompt, session, text } from '../lib/browser.mjs'
import { Server } from '../lib/server.mjs'

/** A page of another origin, which holds what it is given. */
class Wiki {
  static async start() {
    const wiki = new Wiki()
    wiki.server = createServer((_, answer) => {
      answer.setHeader('content-type', 'text/html')
      answer.end(`<!doctype html><title>Wiki</title><h1>A page</h1>${wiki.html}`)
    })
    await new Promise((resolve) => wiki.server.listen(0, '127.0.0.1', resolve))
    wiki.url = `http://127.0.0.1:${wiki.server.address().port}`
    return wiki
  }
}

const wiki = await Wiki.start()
const other = await Wiki.start()
const [browser, server] = await Promise.all([launch(), Server.start('--frame-ancestors', wiki.url)])
after(async () => {
  await browser.close()
  await server.close()
  for (const { server } of [wiki, other]) server.close()
})

async function shareTalk() {
  const share = await server.share()
  const words = Array.from({ length: 80 }, (_, at) => ({ ...text(`Paragraph ${at}`), id: `prt_${at}` }))
  await share.sync(session({ title: 'A talk' }), ...prompt('Tell me'), ...answer(words))
  return share
}

/** The code that the page gives out for other pages. */
async function codeOf(share) {
  const page = await openShare(browser, share, { permissions: ['clipboard-read', 'clipboard-write'] })
  await page.getByText('Share', { exact: true }).click()
  await page.getByRole('button', { name: 'Copy code for a web page' }).click()
  await page.getByRole('button', { name: 'Copied' }).waitFor()
  const html = await page.evaluate(() => navigator.clipboard.readText())
  await page.context().close()
  return html
}

test('a session is shown in a page that may show it, live, with a way to the whole', async () => {
  const share = await shareTalk()
  wiki.html = await codeOf(share)
  const page = await openPage(browser)
  await page.goto(wiki.url)
  const frame = page.frameLocator('iframe')
  await frame.locator('.state[data-state=live]').waitFor()
  await frame.getByText('Paragraph 0', { exact: true }).waitFor()
  await frame.locator('.top-title', { hasText: 'A talk' }).waitFor()
  for (const left of ['.outline', '.head', '.menu', '.help-button', '.bell'])
    assert.equal(await frame.locator(left).first().isVisible(), false, left)
  await share.sync(...prompt('And then?'), ...answer([text('It goes on')]))
  await frame.locator('.markdown', { hasText: 'It goes on' }).waitFor()
  const opened = page.context().waitForEvent('page')
  await frame.getByRole('link', { name: 'Open the whole page' }).click()
  const whole = await opened
  await whole.locator('.state[data-state=live]').waitFor()
  assert.ok(whole.url().startsWith(share.url), whole.url())
  assert.equal(await whole.locator('.head h1').isVisible(), true)
  assert.deepEqual(page.record.errors, [])
})

test('a frame begins at what its address names', async () => {
  const share = await shareTalk()
  wiki.html = `<iframe src="${server.url}/embed/${share.id}#prt_70" width="800" height="400"></iframe>`
  const page = await openPage(browser)
  await page.goto(wiki.url)
  const part = page.frameLocator('iframe').getByText('Paragraph 70', { exact: true })
  await part.waitFor()
  await page.frame({ url: /embed/ }).waitForFunction(
    (node) => {
      const { top, bottom } = node.getBoundingClientRect()
      return top >= 0 && bottom <= innerHeight
    },
    await part.elementHandle(),
  )
})

test('pages that the operator did not name show nothing of it', async () => {
  const share = await shareTalk()
  other.html = `<iframe src="${server.url}/embed/${share.id}" width="800" height="400"></iframe>`
  const page = await openPage(browser)
  const refused = page.waitForEvent('console', (message) => /frame-ancestors/.test(message.text()))
  await page.goto(other.url)
  await refused
  assert.equal(await page.frameLocator('iframe').locator('.timeline').count(), 0)
})
