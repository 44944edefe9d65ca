// A session is a stranger's text. Nothing in it runs, nothing of it is loaded from elsewhere, wherever it stands.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answer, live, openPage, openShare, prompt, session, setUp, text, tool } from '../lib/browser.mjs'
import { EVIL, HOSTILE } from '../lib/hostile.mjs'

const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="window.pwned=1">' +
  `<script>alert(1)</script><image href="${EVIL}"/></svg>`
const IMAGE = `data:image/svg+xml;base64,${Buffer.from(SVG).toString('base64')}`

const { browser, server } = await setUp()

/** The same hostile text in every field that a reader sees. */
function everywhere(evil) {
  const line = evil.replace(/\n/g, ' ')
  const patch = `--- a/${line}\n+++ b/x.html\n@@ -1,1 +1,1 @@\n-${line}\n+${line} new\n`
  return [
    session({ title: evil, directory: evil }),
    ...prompt(
      evil,
      { mime: 'image/svg+xml', filename: evil, url: IMAGE },
      { mime: evil, filename: evil, url: 'javascript:alert(1)' },
      { mime: 'image/png', filename: 'remote', url: `${EVIL}.png` },
    ),
    ...answer(
      [
        text(evil),
        { type: 'reasoning', text: evil, time: { start: 1, end: 2 } },
        tool('bash', { command: evil }, { output: evil, metadata: { exit: 1, output: evil } }),
        tool('edit', { filePath: evil }, { metadata: { diff: patch } }),
        tool('write', { filePath: `${evil}.html`, content: evil }),
        tool('read', { filePath: evil }, { output: evil }),
        tool('grep', { pattern: evil }, { output: evil }),
        tool('todowrite', { todos: [{ content: evil, status: evil }] }),
        tool('task', { description: evil, prompt: evil, subagent_type: evil }, { output: evil }),
        tool('webfetch', { url: 'javascript:alert(1)' }, { output: evil }),
        tool('question', { questions: [{ question: evil }] }, { metadata: { answers: [[evil]] } }),
        tool(
          evil,
          { [evil]: evil },
          {
            output: evil,
            title: evil,
            attachments: [{ type: 'file', mime: 'image/svg+xml', filename: evil, url: IMAGE }],
          },
        ),
        tool('Edit', { file_path: evil, old_string: `a\n${evil}`, new_string: evil }),
        tool('apply_patch', `*** Begin Patch\n*** Add File: ${line}\n+${line}\n*** End Patch`),
        tool('ExitPlanMode', { plan: evil }),
        tool(`mcp__${evil}__${evil}`, { path: evil, [evil]: 7 }, { output: evil }),
        tool('bash', {}, { status: 'error', error: evil }),
        { type: 'patch', hash: evil, files: [evil] },
        { type: 'agent', name: evil },
        { type: 'retry', attempt: evil, error: { name: 'APIError', data: { message: evil, statusCode: evil } } },
        { type: 'subtask', prompt: evil, description: evil },
        { type: evil },
      ],
      { error: { name: 'UnknownError', data: { message: evil } }, modelID: evil },
    ),
    { type: 'session_diff', data: [{ file: evil, patch, additions: 1, deletions: 1 }] },
  ]
}

test('hostile text in every field runs nothing and asks no other host', async () => {
  const page = await openPage(browser)
  for (const evil of [HOSTILE.join('\n\n'), ...HOSTILE]) {
    const share = await server.share()
    await share.sync(...everywhere(evil))
    await page.goto(share.url)
    await live(page)
    await page.keyboard.press('o')
    await page.evaluate(async () => {
      for (const details of document.querySelectorAll('details')) details.open = true
      for (let at = 0; at < document.documentElement.scrollHeight; at += 600) {
        scrollTo(0, at)
        await new Promise(requestAnimationFrame)
      }
    })
    await page.keyboard.press('c')
    await page.locator('.review').waitFor()
    const found = await page.evaluate(() => ({
      pwned: window.pwned,
      scripts: [...document.scripts].filter(({ src }) => !src.startsWith(location.origin)).length,
      handlers: [...document.querySelectorAll('*')].filter((node) =>
        [...node.attributes].some(({ name }) => name.startsWith('on')),
      ).length,
      active: document.querySelectorAll(
        'iframe, object, embed, video, audio, base, style, form, math, meta[http-equiv], svg:not(.sign, .chart)',
      ).length,
      links: [...document.querySelectorAll('a[href]')]
        .map(({ href }) => new URL(href).protocol)
        .filter((protocol) => !/^(https?|mailto):$/.test(protocol)),
      images: [...document.images].map(({ src }) => src).filter((src) => !src.startsWith('data:image/')),
      apps: document.querySelectorAll('#app').length,
    }))
    assert.deepEqual(
      found,
      { pwned: undefined, scripts: 0, handlers: 0, active: 0, links: [], images: [], apps: 1 },
      evil,
    )
    assert.deepEqual(page.record.dialogs, [], evil)
    assert.deepEqual([...page.record.hosts], [server.address], evil)
    assert.deepEqual(page.record.errors, [], evil)
    await page.evaluate(() => localStorage.clear())
  }
})

test('the page forbids by policy what its code must not do', async () => {
  const share = await server.share()
  await share.sync(...everywhere('x'))
  const page = await openShare(browser, share)
  const answers = await page.evaluate(async (evil) => {
    const attempt = async (what) => {
      try {
        await what()
        return 'done'
      } catch {
        return 'refused'
      }
    }
    return [
      await attempt(() => (document.body.innerHTML += '<b>x</b>')),
      await attempt(() =>
        document.body.append(Object.assign(document.createElement('script'), { text: 'window.pwned = 1' })),
      ),
      await attempt(() => fetch(evil)),
    ]
  }, EVIL)
  assert.deepEqual(answers, ['refused', 'refused', 'refused'])
  const headers = (await server.request('GET', `/s/${share.id}`)).headers
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
  assert.equal(headers.get('x-content-type-options'), 'nosniff')
  assert.match(headers.get('x-robots-tag'), /noindex/)
  assert.match(headers.get('content-security-policy'), /default-src 'none'.*frame-ancestors 'none'/)
})
