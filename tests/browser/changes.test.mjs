// What a session changed, as a room of its own with its own address.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answer, openPage, openShare, prompt, session, setUp, shareRecorded, text, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

const patch = (file, from, to) => `--- a/${file}\n+++ b/${file}\n@@ -1 +1 @@\n-${from}\n+${to}\n`
const edit = (file, from, to) => tool('edit', { filePath: file }, { metadata: { diff: patch(file, from, to) } })

const files = (page) =>
  page.locator('.review-box').evaluateAll((boxes) =>
    boxes.map((box) => {
      const said = (name) => box.querySelector(`summary ${name}`).textContent
      return [said('.letter'), said('.file-name'), said('.counts')].join(' ')
    }),
  )

for (const viewport of [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
])
  test(`the recorded session shows the two files that it made, ${viewport.width} wide`, async () => {
    const page = await openShare(browser, await shareRecorded(server), { viewport })
    await page.locator('.tab', { hasText: 'Changes 2' }).click()
    await page.locator('.review .diff').first().waitFor()
    assert.deepEqual(await files(page), ['A greeter.py +2 −0', 'A README.md +3 −0'])
    assert.equal(await page.locator('.review-sum').innerText(), '2 files +5 −0')
    assert.match(page.url(), /#changes$/)
    assert.ok(await page.locator('.timeline').isHidden())
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
    await page.locator('.made-in a').first().click()
    await page.locator('.timeline').waitFor()
    await page.goBack()
    await page.locator('.review').waitFor()
    assert.deepEqual(page.record.errors, [])
  })

test('an address leads to a file, a file to its turns, and an edit to all changes of its file', async () => {
  const share = await server.share()
  const long = text('long '.repeat(2000))
  await share.sync(
    session({ directory: '/p' }),
    ...prompt('one'),
    ...answer([edit('/p/src/a.rs', '1', '2'), edit('/p/src/b.rs', '1', '2'), long]),
    ...prompt('two'),
    ...answer([edit('/p/src/a.rs', '2', '3'), tool('write', { filePath: '/p/docs/new.md', content: 'x\n' }), long]),
  )
  const page = await openPage(browser)
  await page.goto(`${share.url}#changes/src/a.rs`)
  await page.locator('.review .diff').first().waitFor()
  assert.deepEqual(await files(page), ['A docs/new.md +1 −0', 'M src/a.rs +1 −1', 'M src/b.rs +1 −1'])
  const box = page.locator('.review-box[data-file="src/a.rs"]')
  assert.ok(await box.evaluate((node) => node === document.activeElement))
  assert.deepEqual(await box.locator('.diff .text').allInnerTexts(), ['1', '3'], 'its net change')
  assert.equal(await box.locator('.made-in').textContent(), 'made in turns 1, 2')
  assert.deepEqual(
    (await page.locator('.tree li').allInnerTexts()).map((words) => words.split(/\s+/)[0]),
    ['docs', 'A', 'src', 'M', 'M'],
  )
  await page.locator('.review-side input').fill('docs')
  assert.equal(await page.locator('.review-box:visible').count(), 1)
  await page.locator('.review-side input').fill('')

  await box.getByLabel('Viewed').check()
  assert.ok(await box.locator('.diff').isHidden())
  await page.reload()
  await box.waitFor()
  assert.ok(await box.getByLabel('Viewed').isChecked(), 'it is remembered')

  await box.locator('.made-in a').last().click()
  const second = page.locator('.turn').nth(1)
  await page.waitForFunction(() => document.querySelectorAll('.turn')[1].getBoundingClientRect().top < 200)
  await second.locator('.diff-name a').click()
  await box.waitFor()
  assert.match(page.url(), /#changes\/src\/a\.rs$/)

  await share.sync(...prompt('three'), ...answer([edit('/p/src/c.rs', '1', '2')]))
  await page.locator('.review-box[data-file="src/c.rs"]').waitFor()
  assert.ok(await box.locator('.diff .text').first().isVisible(), 'what was open stays so')
  assert.deepEqual(page.record.errors, [])
})

test('a reader who comes back from there is where they were', async () => {
  const share = await server.share()
  const turns = Array.from({ length: 12 }, (_, at) => [
    ...prompt(`Question ${at}`),
    ...answer([edit(`f${at}`, '1', '2'), text('long '.repeat(600))]),
  ])
  await share.sync(session(), ...turns.flat())
  const page = await openShare(browser, share)
  await page.locator('.outline .label', { hasText: 'Question 7' }).click()
  const top = () => page.evaluate(() => Math.round(document.querySelectorAll('.turn')[7].getBoundingClientRect().top))
  await page.waitForFunction(() => Math.abs(document.querySelectorAll('.turn')[7].getBoundingClientRect().top) < 120)
  const before = await top()
  await page.keyboard.press('c')
  await page.locator('.review .diff').first().waitFor()
  await page.keyboard.press('c')
  await page.locator('.timeline').waitFor()
  await page.waitForFunction(
    (before) => Math.abs(document.querySelectorAll('.turn')[7].getBoundingClientRect().top - before) < 5,
    before,
  )
})

test('the word of the session comes first; where commands ran without one, something may be missing', async () => {
  const share = await server.share()
  const items = [session(), ...prompt('x'), ...answer([edit('src/a.rs', '1', '2'), tool('bash', { command: 'make' })])]
  await share.sync(...items)
  const page = await openShare(browser, share)
  await page.keyboard.press('c')
  await page.getByText('What commands changed by themselves is not listed').waitFor()
  const data = [
    { file: 'b.txt', before: 'one\n', after: 'two\n', additions: 1, deletions: 1 },
    { file: 'c.txt', patch: patch('c.txt', '1', '2') },
  ]
  await share.sync({ type: 'session_diff', data })
  await page.locator('.review-box[data-file="b.txt"] .diff').waitFor()
  assert.deepEqual(await files(page), ['M b.txt +1 −1', 'M c.txt +1 −1'])
  assert.ok(await page.locator('.review-head .note').isHidden())
})
