// The page works wherever its server stands: under a path, behind a proxy, over plain HTTP.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'

import { answer, launch, live, openPage, prompt, session, setUp, shareRecorded, text } from '../lib/browser.mjs'
import { Proxy } from '../lib/proxy.mjs'

const { browser, server } = await setUp()

test('under a path, behind a proxy that takes it away, all of the page works', async () => {
  const proxy = await Proxy.start(server.url)
  after(() => proxy.close())
  proxy.path = '/share-app'
  const share = await shareRecorded(server)
  for (const kind of ['s', 'share']) {
    const page = await openPage(browser)
    const refused = []
    page.on('response', (response) => response.status() >= 400 && refused.push(response.url()))
    await page.goto(`${proxy.url}/share-app/${kind}/${share.id}`)
    await live(page)
    await page.locator('.markdown .hljs-keyword, .diff').first().waitFor()
    await share.sync(...answer([text(`seen live at ${kind}`)]))
    await page.getByText(`seen live at ${kind}`).waitFor()
    await page.getByText('Share', { exact: true }).click()
    for (const [label, begins] of [
      ['Markdown', '# '],
      ['JSON', '['],
      ['HTML file, works offline', '<!doctype html>'],
    ]) {
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByText(label, { exact: true }).click()])
      assert.ok((await readFile(await file.path(), 'utf8')).startsWith(begins), label)
    }
    const command = `opencode import ${proxy.url}/share-app/share/${share.id}`
    assert.equal(await page.locator('.import code').textContent(), command)
    assert.deepEqual([refused, page.record.errors], [[], []])
  }
  assert.deepEqual(
    proxy.requests.filter(({ path }) => !path.startsWith('/share-app/')),
    [],
  )
  const missing = await openPage(browser)
  const [style] = await Promise.all([
    missing.waitForResponse((response) => response.url().endsWith('/page.css')),
    missing.goto(`${proxy.url}/share-app/s/0000000000000000000000`),
  ])
  assert.equal(style.status(), 200)
})

test('over plain HTTP a copy button copies all the same', async () => {
  const elsewhere = await launch('--host-resolver-rules=MAP share.test 127.0.0.1')
  after(() => elsewhere.close())
  const share = await server.share()
  await share.sync(session(), ...prompt('copied words of the prompt'), ...answer([text('x')]))
  const page = await openPage(elsewhere)
  await page.goto(`http://share.test:${new URL(server.url).port}/s/${share.id}`)
  await live(page)
  assert.equal(await page.evaluate(() => isSecureContext), false)
  const pasted = async () => {
    await page.keyboard.press('/')
    await page.locator('.search input').fill('')
    await page.keyboard.press('Control+v')
    const words = await page.locator('.search input').inputValue()
    await page.keyboard.press('Escape')
    return words
  }
  await page.locator('.prompt').hover()
  await page.locator('.prompt .copy').click()
  await page.locator('.prompt .copy.done').waitFor()
  assert.equal(await pasted(), 'copied words of the prompt')
  await page.getByText('Share', { exact: true }).click()
  await page.locator('.import .copy').click()
  await page.locator('.import .copy.done').waitFor()
  await page.keyboard.press('Escape')
  assert.match(await pasted(), /^opencode import http:\/\/share\.test:\d+\/share\/\w{22}$/)
  await page.locator('.prompt').hover()
  await page.locator('.prompt .anchor').click()
  assert.match(await pasted(), /^http:\/\/share\.test:\d+\/s\/\w{22}#msg_/)
  assert.deepEqual(page.record.errors, [])
})
