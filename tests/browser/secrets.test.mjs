// What was hidden in a session is seen as that, wherever it stands, and is taken along as it was sent.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { answer, openShare, prompt, session, setUp, text, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

const [TOKEN, KEY, PASSWORD] = ['[redacted:github-token-1]', '[redacted:private-key-1]', '[redacted:password-12]']

test('chips stand where secrets were: in prompts, prose, code, calls, outputs and diffs', async () => {
  const share = await server.share()
  const diff = `--- a/.env\n+++ b/.env\n@@ -1 +1 @@\n-TOKEN=${TOKEN} # old\n+TOKEN=${KEY} # old\n`
  await share.sync(
    session({ title: `Deploy with ${TOKEN}` }),
    ...prompt(`My token is ${TOKEN}, use it`),
    ...answer([
      text(`It is **${TOKEN}** or [redacted:password-12](x), \`${KEY}\`\n\n\`\`\`rust\nlet a = "${TOKEN}";\n\`\`\``),
      { type: 'reasoning', text: `Think of ${TOKEN}`, time: { start: 1, end: 2 } },
      tool(
        'bash',
        { command: `curl -H ${TOKEN}` },
        { output: `\x1b[31m[redacted:\x1b[0mpassword-12] end`, metadata: { exit: 0 } },
      ),
      tool('edit', { filePath: '.env' }, { metadata: { diff } }),
      tool('thing', { a: { b: KEY } }, { status: 'error', error: `no ${TOKEN}` }),
    ]),
  )
  const page = await openShare(browser, share)
  const chips = async (selector) => {
    await page.locator(`${selector} .secret`).first().waitFor()
    return page.locator(`${selector} .secret`).evaluateAll((all) => all.map(({ dataset }) => dataset.secret))
  }
  assert.deepEqual(await chips('.prompt-text'), ['github token 1'])
  assert.deepEqual(await chips('.part-text'), ['github token 1', 'password 12', 'private key 1', 'github token 1'])
  await page.locator('.part-text .hljs-string .secret, .part-text .hljs .secret').first().waitFor()
  assert.deepEqual(await chips('.part-text .hljs'), ['github token 1'], 'coloured code too')
  assert.deepEqual(await chips('.head h1'), ['github token 1'])
  assert.deepEqual(await chips('[data-tool=edit] .removed'), ['github token 1'])
  assert.deepEqual(await chips('[data-tool=edit] .added'), ['private key 1'])
  await page.locator('[data-tool=bash] summary').click()
  assert.deepEqual(await chips('[data-tool=bash] .body'), ['github token 1', 'password 12'])
  assert.deepEqual(await chips('[data-tool=thing] .body'), ['github token 1', 'private key 1'])
  await page.locator('.head').getByText('3 secrets hidden').waitFor()
  assert.equal(await page.locator('.prompt-text .secret').getAttribute('title'), 'A secret was hidden here')

  const copied = await page.evaluate(() => {
    const selection = getSelection()
    selection.selectAllChildren(document.querySelector('.prompt-text'))
    return selection.toString()
  })
  assert.equal(copied, `My token is ${TOKEN}, use it`)
  await page.keyboard.press('/')
  await page.keyboard.type('redacted:github')
  await page.locator('.search .count').getByText('1 of').waitFor()
  await page.keyboard.press('Escape')

  const before = await page.locator('.part-text').elementHandle()
  await share.sync(...answer([text(`And ${PASSWORD.replace('12', '13')}`)]))
  await page.locator('.head').getByText('4 secrets hidden').waitFor()
  assert.ok(await before.evaluate((node) => node.isConnected))
  assert.deepEqual(page.record.errors, [])

  await page.getByText('Share', { exact: true }).click()
  const label = page.getByText('HTML file, works offline')
  const [file] = await Promise.all([page.waitForEvent('download'), label.click()])
  const html = await readFile(await file.path(), 'utf8')
  assert.ok(html.includes(TOKEN) && html.includes('data-secret="github token 1"'))
})
