// Whatever is sent, the page answers a click meanwhile: no text, output or diff holds it up, however long it is and
// whatever it is made of.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answer, live, openPage, openShare, prompt, session, setUp, text, tool } from '../lib/browser.mjs'
import { streamed } from '../lib/streamed.mjs'
import { traced } from '../lib/trace.mjs'

const { browser, server } = await setUp()

// Milliseconds of the processor's time that a task may take: as long as a click waits on a machine at rest.
const PATIENCE = 600

const lines = (count, line) => Array.from({ length: count }, (_, at) => line(at)).join('\n')
const before = lines(8000, (at) => `-let old_${at} = call(${at}, other);`)
const after = lines(8000, (at) => `+let new_${at} = call(${at + 1}, another);`)
const differing = `--- a/x.rs\n+++ b/x.rs\n@@ -1,8000 +1,8000 @@\n${before}\n${after}\n`

const HEAVY = {
  'one line of 300,000 characters': tool('bash', { command: 'curl -s api/all' }, { output: 'x'.repeat(300_000) }),
  'an output of 10 MB in one line': tool('bash', { command: 'x' }, { output: '\x1b[31mred '.repeat(1_000_000) }),
  'an output of 300,000 lines': tool('bash', { command: 'x' }, { output: lines(300_000, (at) => `line ${at}`) }),
  'a text of 300,000 lines': text(lines(300_000, () => 'a line of text that is ordinary')),
  'a text of two million words': text('word '.repeat(2_000_000)),
  'links that begin and do not end': text('[a]('.repeat(40_000)),
  'an address that does not end': text(`${'a.'.repeat(20_000)}@`),
  'stars and underscores': text('*a_b'.repeat(15_000)),
  'quotations in quotations': text('>'.repeat(40_000)),
  'formulas that begin and do not end': text('\\('.repeat(30_000)),
  'a long table': text(`|a|b|\n|-|-|\n${lines(4000, (at) => `|${at}|**b**|`)}`),
  'code that is long': text(`\`\`\`rust\n${lines(3000, (at) => `fn f_${at}() { let x = "${at}"; }`)}\n\`\`\``),
  'a thought of 10 MB': { type: 'reasoning', text: 'thought '.repeat(1_250_000) },
  '8,000 differing lines': tool('edit', { filePath: 'x.rs' }, { metadata: { diff: differing } }),
  'a file of one line': tool('write', { filePath: '/x/y.js', content: 'var a=1;'.repeat(40_000) }),
  'an error of 10 MB': tool('bash', { command: 'x' }, { status: 'error', error: 'no '.repeat(3_000_000) }),
  'a part that nobody knows, of 10 MB': { type: 'newer', note: 'note '.repeat(2_000_000) },
}

for (const [name, part] of Object.entries(HEAVY)) {
  test(`${name}: it is shown, opened and shown whole, and the page answers`, async () => {
    const share = await server.share()
    await share.sync(session(), ...prompt('Asked'), ...answer([text('BEFORE'), part, text('AFTER')]))
    const page = await openPage(browser)
    const { longest } = await traced(browser, page, async () => {
      await page.goto(share.url)
      await live(page)
      assert.equal(await page.locator('.answer .part').count(), 3)
      const heavy = page.locator('.answer .part').nth(1)
      const fold = heavy.locator('details:not([open]) > summary')
      if (await fold.count()) await fold.first().click()
      assert.ok((await heavy.evaluate((node) => node.textContent.trim().length)) > 300, 'it is there')
      const more = heavy.locator('button.more')
      if (await more.count()) {
        await more.first().click()
        await more.first().waitFor({ state: 'detached' })
      }
      await heavy.evaluate((node) => node.scrollIntoView({ block: 'end' }))
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 300))))
      const menu = page.locator('.menu').first()
      await menu.locator('summary').click()
      assert.ok(await menu.locator('.menu-body').isVisible())
    })
    assert.ok(longest < PATIENCE, `${Math.round(longest)} ms`)
    assert.deepEqual(page.record.errors, [])
    await page.context().close()
  })
}

test('an answer that grows: what is added is laid out, and what stood there before is left alone', async () => {
  const STEPS = 60
  const { share, append, seen } = await streamed(server, 30_000, STEPS)
  const page = await openShare(browser, share)
  const { restyled, laidOut } = await traced(browser, page, async () => {
    for (let step = 0; step < STEPS; step++) {
      await append()
      await page.evaluate(() => new Promise(requestAnimationFrame))
    }
    await seen(page)
  })
  const elements = await page.locator('.markdown *').count()
  for (const [what, counts] of Object.entries({ restyled, laidOut })) {
    const times = counts.reduce((sum, count) => sum + count, 0) / elements
    assert.ok(times < 3, `each element was ${what} ${times.toFixed(1)} times`)
  }
})
