// No text disappears, and each is read in its own direction.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { answer, openShare, prompt, session, setUp, text, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

const fixture = async (name) =>
  JSON.parse(await readFile(new URL(`../fixtures/odd/${name}.json`, import.meta.url), 'utf8'))

async function open(items) {
  const share = await server.share()
  await share.sync(...items)
  const page = await openShare(browser, share)
  await page.locator('.markdown:not([data-lazy])').first().waitFor()
  return page
}

test('the name of an element in a text is seen, and so is all that stands behind it', async () => {
  const page = await open(await fixture('details-in-prose'))
  const seen = await page.locator('.answer .markdown').innerText()
  for (const words of ['a <details> element so that', 'This paragraph comes after it.', 'And this is the conclusion.'])
    assert.ok(seen.includes(words), seen)
})

test('half an emoji takes nothing else along', async () => {
  const page = await open(await fixture('cut-emoji'))
  assert.match(await page.locator('.answer .markdown').innerText(), /half \ufffd and the whole answer/)
  await page.locator('[data-tool=bash] summary').click()
  assert.match(await page.locator('[data-tool=bash] .output code').innerText(), /cut \ufffd/)
})

test('formulas keep their backslashes, stars and lines', async () => {
  const page = await open(await fixture('math-eaten'))
  const seen = await page.locator('.answer .markdown').innerText()
  const formulas = [
    '$a_{ij}*b_{jk}*c$',
    '\\(x^2\\)',
    '\\[ y = \\frac{1}{2} \\]',
    '$$f*g*h_1_2$$',
    'It costs $5 and $10.',
  ]
  for (const formula of formulas) assert.ok(seen.includes(formula), `${formula} in ${seen}`)
})

test('each block is read in its own direction, and code from left to right', async () => {
  const page = await open(await fixture('rtl-answer'))
  const directions = await page
    .locator('.answer .markdown')
    .evaluate((body) =>
      [...body.querySelectorAll('p, li, code')].map((node) => [node.tagName, getComputedStyle(node).direction]),
    )
  assert.deepEqual(directions, [
    ['P', 'rtl'],
    ['CODE', 'ltr'],
    ['LI', 'rtl'],
    ['LI', 'rtl'],
    ['P', 'ltr'],
  ])
  // The full stop of the first paragraph is at its left end, and marks stand at the right of their items.
  const edges = await page.locator('.answer .markdown').evaluate((body) => {
    const words = body.querySelector('p').lastChild
    const range = new Range()
    range.setStart(words, words.length - 1)
    range.setEnd(words, words.length)
    return { stop: range.getBoundingClientRect().left, start: words.parentElement.getBoundingClientRect().right }
  })
  assert.ok(edges.stop < edges.start - 100, JSON.stringify(edges))
})

test('quotations, headings, cells and items of loose lists find their direction too', async () => {
  const arabic = 'هذا نص'
  const page = await open([
    session(),
    ...prompt('Show me'),
    ...answer([text(`# ${arabic}\n\n> ${arabic}\n\n- ${arabic}\n\n- English\n\n|${arabic}|b|\n|-|-|\n|${arabic}|b|`)]),
  ])
  const directions = await page
    .locator('.answer .markdown')
    .evaluate((body) =>
      [...body.querySelectorAll('h3, blockquote, li, td')].map((node) => getComputedStyle(node).direction),
    )
  assert.deepEqual(directions, ['rtl', 'rtl', 'rtl', 'ltr', 'rtl', 'ltr'])
})

test('columns stand as they were aligned, and no word of a cell is broken', async () => {
  const row = `|${'a name that is long enough to need a line|'.repeat(6)}1,310.0|`
  const page = await open([
    session(),
    ...prompt('Show me'),
    ...answer([text(`|a|b|c|d|e|f|lost|\n|-|:-:|-|-|-|-|-:|\n${row}`)]),
  ])
  const cells = await page.locator('.markdown td').evaluateAll((nodes) =>
    nodes.map((node) => {
      const range = new Range()
      range.selectNodeContents(node)
      const style = getComputedStyle(node)
      return { align: style.textAlign, lines: range.getClientRects().length }
    }),
  )
  assert.deepEqual(
    [cells[0].align, cells[1].align.replace('-webkit-', ''), cells.at(-1).align.replace('-webkit-', '')],
    ['start', 'center', 'right'],
  )
  assert.equal(cells.at(-1).lines, 1)
  assert.ok(cells[0].lines < 10, 'its words are whole')
})

test('an output has its weights and colours, and no styles of its own', async () => {
  const output = '\x1b[1mbold\x1b[0m \x1b[31mred\x1b[0m 10 %\r\x1b[32mdone\x1b[0m\nab\bc\n'
  const page = await open([
    session(),
    ...prompt('Run'),
    ...answer([text('x'), tool('bash', { command: 'x' }, { output })]),
  ])
  await page.locator('[data-tool=bash] summary').click()
  const code = page.locator('[data-tool=bash] .output code')
  assert.equal(await code.textContent(), 'done\nac\n')
  assert.equal(await code.locator('.ansi-green-fg').textContent(), 'done')
  assert.equal(await page.locator('.output [style]').count(), 0)
  assert.deepEqual(page.record.errors, [])
})
