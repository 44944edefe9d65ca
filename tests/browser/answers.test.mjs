// The page answers: what was asked, what came out, where it failed, where one is, and what goes on now.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AxeBuilder } from '@axe-core/playwright'

import { answer, openPage, openShare, prompt, session, setUp, text, titled, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

const PIXEL =
  'data:image/png;base64,' +
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const DIFF = '--- a\n+++ a\n@@ -1 +1,2 @@\n-1\n+2\n+3\n'
const LINES = Array.from({ length: 40 }, (_, at) => `test case_${at} ... ok`).join('\n')
const tested = (passed, failed) =>
  tool(
    'bash',
    { command: 'cargo test' },
    {
      output: `${LINES}\ntest result: ${failed ? 'FAILED' : 'ok'}. ${passed} passed; ${failed} failed; 0 ignored\n`,
      metadata: { exit: failed ? 101 : 0 },
    },
  )
const edit = (file) => tool('edit', { filePath: file }, { metadata: { diff: DIFF } })

/** Turns of which the third fails. */
async function long(count) {
  const share = await server.share()
  const turn = (at) => [
    ...prompt(`Question ${at} of them all`),
    ...answer([
      edit(`f${at}.rs`),
      tested(19, at === 2 ? 1 : 0),
      text(`# Answer ${at}\n\n${'long '.repeat(300)}\n\n## Rest`),
    ]),
  ]
  const turns = Array.from({ length: count }, (_, at) => turn(at))
  await share.sync(session({ title: 'Many' }), ...turns.flat())
  return { share, turns }
}

for (const viewport of [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
])
  test(`one failing run of tests is found at once, ${viewport.width} wide`, async () => {
    const { share, turns } = await long(12)
    const page = await openShare(browser, share, { viewport })
    const errors = page.locator('.errors')
    await errors.waitFor()
    assert.equal(await errors.textContent(), '1 error')
    await errors.click()
    const part = page.locator(`[id="${turns[2][4].data.id}"]`)
    await page.waitForFunction(
      (id) => Math.abs(document.getElementById(id).getBoundingClientRect().top) < 200,
      turns[2][4].data.id,
    )
    assert.equal(await part.locator('.dot.error').count(), 1)
    const shown = await part.locator('.output:not(.command) code').textContent()
    assert.match(shown, /1 failed/)
    assert.equal(shown.trim().split('\n').length, 12, 'the end of it')
    await part.getByText('Show all 41 lines').click()
    assert.match(await part.locator('.output:not(.command) code').textContent(), /case_0 /)
    const foot = page.locator('.turn').nth(2).locator('.turn-foot')
    assert.match(await foot.innerText(), /✕ 1 of 20 tests failed\s+1 file \+2 −1\s+1 command/)
    assert.match(await page.locator('.turn').nth(0).locator('.turn-foot').textContent(), /✓ 19 tests passed/)
    assert.deepEqual(page.record.errors, [])
  })

test('e and E go from error to error, also to one that an answer ended with', async () => {
  const share = await server.share()
  const failing = (command) => tool('bash', { command }, { output: 'no', metadata: { exit: 1 } })
  const filler = text('long '.repeat(800))
  await share.sync(
    session(),
    ...prompt('one'),
    ...answer([failing('first'), filler]),
    ...prompt('two'),
    ...answer([filler], { error: { name: 'APIError', data: { message: 'too busy' } } }),
    ...prompt('three'),
    ...answer([failing('last'), filler]),
  )
  const page = await openShare(browser, share)
  await page.locator('.errors').getByText('3 errors').waitFor()
  const seen = (words) =>
    page.waitForFunction((words) => {
      const parts = [...document.querySelectorAll('.part')].filter(({ textContent }) => textContent.includes(words))
      const { top } = parts.at(-1).getBoundingClientRect()
      return top > 0 && top < 200
    }, words)
  await page.keyboard.press('e')
  await seen('first')
  await page.keyboard.press('e')
  await seen('too busy')
  await page.keyboard.press('e')
  await seen('last')
  await page.keyboard.press('e')
  await seen('first')
  await page.keyboard.press('E')
  await seen('last')
})

test('the head says what was asked, how it ended and what it took, and its strip leads to each turn', async () => {
  const { share } = await long(30)
  const page = await openShare(browser, share)
  const head = page.locator('.head')
  await head.getByText('30 +60 −30').waitFor()
  assert.match(await head.innerText(), /Asked\s+Question 0 of them all\s+Result\s+long long/)
  assert.match(
    await head.locator('.facts').innerText(),
    /Turns 30\s+Files 30 \+60 −30\s+Cost US\$0\.30\s+Tokens in 300 · out 150/,
  )
  const bars = (kind) =>
    head.locator(`.strip .${kind}`).evaluate((path) => path.getAttribute('d').split('M').length - 1)
  assert.deepEqual([await bars('edits'), await bars('failed')], [29, 1])
  const { width, height } = await head.locator('.strip .chart').boundingBox()
  const position = { x: (20.5 / 30) * width, y: height / 2 }
  await head.locator('.strip').hover({ position })
  assert.match(await head.locator('.strip').getAttribute('title'), /^21\. Question 20/)
  await head.locator('.strip').click({ position })
  await page.waitForFunction(() => Math.abs(document.querySelectorAll('.turn')[20].getBoundingClientRect().top) < 120)
  await page.waitForFunction(() => document.querySelector('.rail .here').getAttribute('d').startsWith('M20 '))
  assert.ok(await page.locator('.rail').isVisible())
  await head.locator('.said.result a').click()
  await page.getByRole('heading', { name: 'Answer 29' }).waitFor()
  assert.deepEqual(page.record.errors, [])
})

test('the outline is numbered, follows the reader, and is narrowed by words', async () => {
  const { share } = await long(60)
  const page = await openShare(browser, share)
  const entries = page.locator('.outline-list > ol > li')
  await page.locator('.outline .dot.error').waitFor()
  assert.match(await entries.nth(2).innerText(), /^3\s+Question 2 of them all\s+\+2\s+−1\s+1 file/)
  await page.evaluate(() => document.querySelectorAll('.turn')[50].scrollIntoView())
  const current = page.locator('.outline li > a[aria-current]')
  await current.getByText('Question 50').waitFor()
  await page.waitForFunction(() => {
    const { top, bottom } = document.querySelector('.outline a[aria-current]').getBoundingClientRect()
    return top > 0 && bottom < innerHeight
  })
  assert.deepEqual(await page.locator('.outline .headings a').allTextContents(), ['Answer 50', 'Rest'])
  await page.locator('.outline .headings a').last().click()
  await page.waitForFunction(() => {
    const heading = document.querySelectorAll('.turn')[50].querySelector('h4')
    return heading && heading.getBoundingClientRect().top > 0 && heading.getBoundingClientRect().top < 200
  })
  await page.locator('.outline input').fill('question 4')
  assert.equal(await page.locator('.outline-list > ol > li:visible').count(), 11)
})

test('on a phone the outline is a sheet, opened where one is, and closed by a tap beside it or Esc', async () => {
  const { share } = await long(40)
  const page = await openShare(browser, share, { viewport: { width: 390, height: 844 } })
  await page.locator('.outline .dot.error').waitFor({ state: 'attached' })
  await page.evaluate(() => document.querySelectorAll('.turn')[30].scrollIntoView())
  await page.waitForFunction(() =>
    document.querySelector('.outline a[aria-current]')?.textContent.includes('Question 30'),
  )
  const open = page.getByRole('button', { name: 'Prompts' })
  await open.click()
  await page.locator('.outline a[aria-current]').waitFor()
  await page.mouse.click(200, 100)
  await page.waitForFunction(() => !document.body.classList.contains('outline-open'))
  await open.click()
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => !document.body.classList.contains('outline-open'))
  await open.click()
  await page.locator('.outline .label', { hasText: 'Question 29' }).click()
  await page.waitForFunction(() => Math.abs(document.querySelectorAll('.turn')[29].getBoundingClientRect().top) < 120)
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
})

test('a search lists what it found by turns, is narrowed by kinds, and can be sent', async () => {
  const { share } = await long(6)
  const page = await openShare(browser, share)
  await page.keyboard.press('/')
  await page.keyboard.type('FAILED')
  const count = page.locator('.search .count')
  await count.getByText('1 of 7').waitFor()
  assert.equal(await page.locator('.found .row').count(), 7)
  await page.getByRole('button', { name: 'Aa' }).click()
  await count.getByText('1 of 1').waitFor()
  assert.match(await page.locator('.found').innerText(), /3\s+Question 2 of them all\s+test result: FAILED\. 19 passed/)
  assert.match(page.url(), /#q=FAILED&in=case$/)

  const sent = await openPage(browser)
  await sent.goto(page.url())
  await sent.locator('.search .count').getByText('1 of 1').waitFor()
  await sent.waitForFunction(() => CSS.highlights.get('current')?.size === 1)
  await sent.keyboard.press('Escape')
  assert.doesNotMatch(sent.url(), /q=/)

  await page.getByRole('button', { name: 'Aa' }).click()
  await page.getByRole('button', { name: 'Errors' }).click()
  await page.locator('.search input').fill('case_1 ')
  await count.getByText('1 of 1').waitFor()
  await page.waitForFunction(() => CSS.highlights.get('current')?.size === 1, null)
  await page.getByRole('button', { name: 'Errors' }).click()
  await page.getByRole('button', { name: 'Output' }).click()
  await count.getByText('1 of 6').waitFor()
  const first = page.locator('.turn').nth(0).locator('[data-tool=bash] details')
  assert.ok(await first.evaluate(({ open }) => open))
  await page.keyboard.press('ArrowDown')
  await count.getByText('2 of 6').waitFor()
  await page.waitForFunction(() => !document.querySelector('.turn [data-tool=bash] details').open, null)
  await page.locator('.found .row').nth(4).click()
  await count.getByText('5 of 6').waitFor()
  assert.deepEqual(page.record.errors, [])
})

test('a word in a command and in what came out of it is two places, gone to one after the other', async () => {
  const share = await server.share()
  const call = tool('bash', { command: 'echo heron' }, { output: 'a heron came out' })
  await share.sync(session(), ...prompt('Run it'), ...answer([call]))
  const page = await openShare(browser, share)
  await page.keyboard.press('/')
  await page.keyboard.type('heron')
  const rows = page.locator('.found .row')
  await rows.nth(1).waitFor()
  const lineOf = () =>
    page.evaluate(() => {
      const [range] = CSS.highlights.get('current')
      return range.startContainer.textContent
    })
  const lines = []
  for (const nth of [0, await rows.count().then((count) => count - 1)]) {
    await rows.nth(nth).click()
    lines.push(await lineOf())
  }
  assert.match(lines[0], /echo heron/)
  assert.notEqual(lines[1], lines[0])
})

test('a search sees what a terminal would show', async () => {
  const share = await server.share()
  const output = 'one\n\x1b[31mFAI\x1b[1mLED\x1b[0m tests/read.py\n'
  await share.sync(session(), ...prompt('Test it'), ...answer([tool('bash', { command: 'pytest' }, { output })]))
  const page = await openShare(browser, share)
  await page.keyboard.press('/')
  await page.keyboard.type('FAILED tests')
  await page.locator('.search .count').getByText('1 of 1').waitFor()
  assert.equal(await page.locator('.found .row').innerText(), 'FAILED tests/read.py')
  await page.waitForFunction(() => CSS.highlights.get('current')?.size === 1)
})

test('who comes while the agent works begins at what it does, and sees and is told when it is done', async () => {
  const { share } = await long(10)
  const items = [...prompt('And now build it'), ...answer([text('So.')])]
  const now = Date.now()
  items[0].data.time = { created: now - 3000 }
  items[2].data.time = { created: now - 2000 }
  const call = {
    ...{ id: 'prt_run', messageID: items[2].data.id, type: 'tool', tool: 'bash', callID: 'c' },
    state: {
      status: 'running',
      input: { command: 'make all' },
      metadata: { output: `${LINES}\nalmost` },
      time: { start: now },
    },
  }
  await share.sync(...items, { type: 'part', data: call })
  const page = await openPage(browser)
  await page.addInitScript(() => {
    window.told = []
    window.Notification = class extends EventTarget {
      static requestPermission = async () => 'granted'
      constructor(title) {
        super()
        window.told.push(title)
      }
    }
  })
  await page.goto(share.url)
  await page.waitForFunction(() => scrollY > 0 && scrollY + innerHeight > document.documentElement.scrollHeight - 120)
  await page.locator('.activity', { hasText: 'Running make all' }).waitFor()
  assert.equal(await page.locator('.state').getAttribute('data-does'), 'busy')
  await titled(page, /^● Running – Many$/)
  await page.locator('#prt_run .output', { hasText: 'almost' }).waitFor()
  await page.getByRole('button', { name: 'Tell me when it is done' }).click()
  await page.locator('.bell[aria-pressed=true]').waitFor()
  await page.getByText('Start from the beginning').click()
  await page.waitForFunction(() => scrollY < 200)

  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { get: () => window.away ?? true, configurable: true })
  })
  call.state = { ...call.state, status: 'completed', output: 'built', metadata: { exit: 0 } }
  items[2].data.time.completed = Date.now()
  await share.sync({ type: 'part', data: call }, items[2])
  await page.waitForFunction(() => document.title === '✓ Done – Many')
  assert.deepEqual(await page.evaluate(() => window.told), ['Done'])
  assert.match(await page.locator('link[rel=icon]').getAttribute('href'), /icon-done\.svg$/)
  await page.evaluate(() => {
    window.away = false
    document.dispatchEvent(new Event('visibilitychange'))
  })
  await page.waitForFunction(() => document.title === 'Many')
  await page.locator('.state', { hasText: /Done/ }).waitFor()
  assert.deepEqual(page.record.errors, [])
})

test('a text that grows keeps what is done of it: its elements, its colours, what is selected in it', async () => {
  const share = await server.share()
  const items = [...prompt('x'), ...answer([text('# One\n\nfirst words\n\n```rust\nfn main() {}\n```\n\nmore')])]
  delete items[2].data.time.completed
  await share.sync(session(), ...items)
  const page = await openShare(browser, share)
  await page.locator('.part-text .hljs').waitFor()
  await page.evaluate(() => {
    getSelection().selectAllChildren(document.querySelector('.part-text p'))
    document.querySelector('.part-text .hljs').isTheSame = true
  })
  items[3].data.text += ' and more\n\n```js\nlet open = 1\n'
  await share.sync(items[3])
  await page.locator('.part-text .code').nth(1).waitFor()
  assert.equal(await page.evaluate(() => getSelection().toString()), 'first words')
  assert.ok(await page.evaluate(() => document.querySelector('.part-text .hljs').isTheSame))
  assert.equal(await page.locator('.part-text .code').nth(1).locator('.hljs').count(), 0, 'code that is open is plain')
  assert.equal(await page.locator('.growing').count(), 1)
  items[3].data.text += '```\n'
  await share.sync(items[3])
  await page.locator('.part-text .code').nth(1).locator('.hljs').waitFor()
  await page.locator('.growing').waitFor({ state: 'detached' })
})

test('prompts are shown as they were meant: Markdown, lines, files, and of long ones the beginning', async () => {
  const share = await server.share()
  const log = Array.from({ length: 40 }, (_, at) => `error * at line ${at} in <module>`).join('\n')
  await share.sync(
    session(),
    ...prompt('Mend **the importer**\nof @src/import.rs, mail me@example.org\n\n- [x] done\n- [ ] not yet'),
    ...answer([text('# Yes\n\n- [ ] an open point')]),
    ...prompt(`Look:\n\n${log}\n\nThe last needle`),
    ...answer([text('x')]),
  )
  const page = await openShare(browser, share)
  const [first, second] = [0, 1].map((at) => page.locator('.turn').nth(at).locator('.prompt'))
  await first.locator('strong').getByText('the importer').waitFor()
  assert.equal(await first.locator('br').count(), 1)
  assert.deepEqual(await first.locator('.mention').allTextContents(), ['@src/import.rs'])
  await page.getByRole('heading', { level: 2, name: /^Prompt ?: Mend the importer of @src/ }).waitFor()
  await page.getByRole('heading', { level: 3, name: 'Answer' }).first().waitFor({ state: 'attached' })
  await page.getByRole('checkbox', { name: 'an open point' }).waitFor()
  await second.locator('.clamped pre').waitFor()
  assert.ok(await second.locator('.prompt-text').evaluate((node) => node.clientHeight < 400))
  await page.keyboard.press('/')
  await page.keyboard.type('last needle')
  await page.locator('.search .count').getByText('1 of 1').waitFor()
  await second.locator('.clamped').waitFor({ state: 'detached' })
  await page.keyboard.press('Escape')
  assert.deepEqual((await new AxeBuilder({ page }).analyze()).violations, [])
  await page.locator('.skip').focus()
  await page.keyboard.press('Enter')
  assert.ok(await page.evaluate(() => document.activeElement === document.querySelector('.turn')))
})

test('thoughts between looks break no run, and what took no time says none', async () => {
  const share = await server.share()
  const thought = (words) => ({ type: 'reasoning', text: words, time: { start: 1000, end: 5000 } })
  const read = (file, ms) => tool('read', { filePath: file }, { output: 'x', time: { start: 1000, end: 1000 + ms } })
  await share.sync(
    session({ directory: '/p' }),
    ...prompt('x'),
    ...answer([
      thought('one'),
      read('/p/a', 3),
      thought('two'),
      read('/p/b', 3),
      tool('grep', { pattern: 'x' }, { output: 'y', time: { start: 1, end: 2 } }),
      thought('about the edit'),
      tool('edit', { filePath: '/p/a' }, { metadata: { diff: DIFF }, time: { start: 1, end: 5 } }),
      tool('mcp__github__create_issue', { title: 'Lost' }, { status: 'error', error: 'not allowed' }),
    ]),
  )
  const page = await openShare(browser, share)
  const group = page.locator('.part-group')
  assert.match(await group.locator('summary').first().innerText(), /Looked at 2 files, 1 search\s+8\.0 s/)
  assert.equal(await group.count(), 1)
  await group.locator('summary').first().click()
  assert.equal(await group.locator('.part-reasoning').count(), 2)
  assert.equal(await page.locator('.answer > .part-reasoning').count(), 1, 'a thought before an edit stands by itself')
  assert.doesNotMatch(await page.locator('[data-tool=edit] summary').innerText(), / ms/)
  assert.match(await page.locator('[data-tool=edit] summary').innerText(), /^Edit\s+a\s/)
  const issue = page.locator('[data-tool=mcp__github__create_issue]')
  assert.match(await issue.locator('summary').innerText(), /github › create issue\s+Lost/)
  assert.equal(await issue.locator('.body > *').first().innerText(), 'not allowed', 'why it failed comes first')
})

test('pictures that calls made are seen, and lead from one to the next', async () => {
  const share = await server.share()
  const picture = (name) => ({ type: 'file', mime: 'image/png', filename: name, url: PIXEL })
  const shot = (name) => tool('playwright_screenshot', { name }, { output: 'saved', attachments: [picture(name)] })
  await share.sync(session(), ...prompt('x'), ...answer([shot('one.png'), shot('two.png'), shot('three.png')]))
  const page = await openShare(browser, share)
  const pictures = page.locator('.pictures .picture')
  await pictures.nth(2).waitFor()
  await pictures.nth(1).click()
  const box = page.locator('dialog.lightbox')
  await box.getByText('two.png · 1 × 1 · 2 / 3').waitFor()
  await page.keyboard.press('ArrowRight')
  await box.getByText('three.png · 1 × 1 · 3 / 3').waitFor()
  await box.getByRole('button', { name: 'Next picture' }).click()
  await box.getByText('one.png').waitFor()
  await box.locator('img').click()
  await box.locator('.zoomed').waitFor()
  const save = box.getByRole('button', { name: 'Save this file' })
  const [file] = await Promise.all([page.waitForEvent('download'), save.click()])
  assert.equal(file.suggestedFilename(), 'one.png')
  assert.deepEqual((await new AxeBuilder({ page }).analyze()).violations, [])
  await page.keyboard.press('Escape')
  assert.ok(await pictures.nth(0).evaluate((node) => node === document.activeElement))
  assert.deepEqual(page.record.errors, [])
})

test('prose keeps its measure, diffs have room and two columns where they have enough of it, in one size', async () => {
  const share = await server.share()
  const line = (word) =>
    `    let value = some_function_with_a_name(${word}).and_then(|value| value.checked_add(17)).unwrap_or_default();`
  const diff = `--- a.rs\n+++ a.rs\n@@ -1,2 +1,2 @@\n fn main() {\n-${line('one')}\n+${line('two')}\n`
  const parts = [
    text(`${'word '.repeat(400)}\n\n\`\`\`rust\n${line('three')}\n\`\`\`\n\nwith \`code\``),
    tool('edit', { filePath: 'a.rs' }, { metadata: { diff } }),
  ]
  await share.sync(session(), ...prompt('x'), ...answer(parts))
  const page = await openShare(browser, share, { viewport: { width: 1700, height: 900 } })
  const width = (selector) =>
    page
      .locator(selector)
      .first()
      .evaluate((node) => node.getBoundingClientRect().width)
  const size = (selector) =>
    page
      .locator(selector)
      .first()
      .evaluate((node) => getComputedStyle(node).fontSize)
  await page.locator('.part-text .hljs').waitFor()
  await page.locator('.diff .hljs').first().waitFor()
  assert.ok((await width('.part-text p')) <= 46 * 16)
  assert.ok((await width('.part-text .code')) > 46 * 16)
  assert.deepEqual([await size('.part-text pre code'), await size('.diff code')], ['13px', '13px'])
  assert.equal(await page.locator('.diff .hljs mark').count(), 2, 'words are marked in what is coloured')
  await page.setViewportSize({ width: 900, height: 900 })
  await page.waitForFunction(() => !document.querySelector('.diff .pair'))
  await page.keyboard.press('w')
  await page.waitForFunction(() => document.documentElement.hasAttribute('data-wide'))
  await page.getByText('View', { exact: true }).click()
  await page.getByLabel('Wrap long lines').uncheck()
  assert.equal(
    await page
      .locator('.diff .text')
      .first()
      .evaluate((node) => getComputedStyle(node).whiteSpace),
    'pre',
  )
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
})

test('the session, a turn and a quotation are given on', async () => {
  const { share, turns } = await long(8)
  const permissions = ['clipboard-read', 'clipboard-write']
  const page = await openShare(browser, share, { permissions })
  const copied = () => page.evaluate(() => navigator.clipboard.readText())
  // The driver would scroll to what it clicks, though that stands in the bar.
  const choose = async (label) => {
    const menu = page.locator('.menu', { has: page.getByText('Share', { exact: true }) })
    await menu.evaluate((details) => (details.open = true))
    await page.getByRole('button', { name: label, exact: true }).dispatchEvent('click')
    await page.getByText('Copied', { exact: true }).first().waitFor()
    await page.getByText('Copied', { exact: true }).waitFor({ state: 'detached' })
    await menu.evaluate((details) => (details.open = false))
  }
  await page.locator('.outline .label', { hasText: 'Question 4' }).click()
  await page.locator('.outline a[aria-current]').getByText('Question 4').waitFor()
  await choose('Copy link')
  assert.equal(await copied(), share.url)
  await choose('Copy link to here')
  assert.equal(await copied(), `${share.url}#${turns[4][0].data.id}`)
  await choose('Copy this turn as Markdown')
  assert.match(await copied(), /Question 4 of them all/)
  assert.doesNotMatch(await copied(), /Question 5/)
  await page.getByText('Share', { exact: true }).click()
  assert.equal(await page.locator('.import code').textContent(), `opencode import ${server.url}/share/${share.id}`)
  await page.getByRole('button', { name: 'QR code' }).click()
  await page.locator('dialog.qr canvas').waitFor()
  assert.deepEqual((await new AxeBuilder({ page }).analyze()).violations, [])
  await page.keyboard.press('Escape')

  const part = turns[4][5].data.id
  await page.evaluate((id) => {
    const words = document.getElementById(id).querySelector('h3').firstChild
    getSelection().selectAllChildren(words.parentElement)
  }, part)
  await page.getByRole('button', { name: 'Copy quote with link' }).click()
  await page.locator('.bubble', { hasText: 'Copied' }).waitFor()
  assert.equal(await copied(), `> Answer 4\n\n${share.url}#${part}:~:text=Answer%204\n`)
  assert.deepEqual(page.record.errors, [])

  const phone = await openShare(browser, share, { permissions, viewport: { width: 390, height: 844 } })
  await phone.locator('.turn-menu').first().click()
  await phone.locator('.turn-sheet').getByText('Copy link to here').click()
  await phone.locator('.turn-sheet').waitFor({ state: 'detached' })
  assert.equal(await phone.evaluate(() => navigator.clipboard.readText()), `${share.url}#${turns[0][0].data.id}`)
  assert.deepEqual(phone.record.errors, [])
})
