// Long texts in pieces: together they are the text, each can be read by itself, and none is too long.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { MarkdownPieces, endOf, markdownPieces, startOf, textPieces } from '../../viewer/pieces.js'

const words = (count) => 'word '.repeat(count)

test('pieces of Markdown begin where a block does, and never in a fence, a fold, a formula or a list', () => {
  const blocks = [
    words(2000),
    `\`\`\`\n${'code\n\n'.repeat(2000)}\`\`\``,
    'after the fence',
    `<details>\n\n${words(2000)}\n\n${words(2000)}\n\n</details>`,
    'after the fold',
    `$$\na\n\n${words(1500)}\n\nb\n$$`,
    'after the formula',
    `- item\n\n  ${words(2000)}\n\n- item`,
    'after the list',
    'short',
    '# heading',
  ]
  const text = blocks.join('\n\n')
  const pieces = markdownPieces(text).map(({ text }) => text)
  assert.equal(pieces.join(''), text)
  const begins = pieces.map((piece) => piece.split('\n')[0])
  assert.deepEqual(begins.slice(1), ['```', 'after the fence', 'after the fold', 'after the formula', 'after the list'])
})

test('code and tables that are longer than a piece go on in the next', () => {
  const heads = (text) => markdownPieces(text).map(({ head }) => head)
  assert.deepEqual(heads(`\`\`\`rust\n${'code line\n'.repeat(4000)}\`\`\`\n`), ['', '```rust\n'])
  const table = '|a|b|\n|-|:-:|\n'
  assert.deepEqual(heads(table + '|one|two|\n'.repeat(4000)), ['', table])
  assert.deepEqual(heads(`${table}|one|two|\n\n${words(1300)}\n\nnext`), ['', ''])
})

test('what grows keeps its earlier pieces', () => {
  const block = `${words(700)}\n\n`
  const pieces = (text) => markdownPieces(text).map(({ text }) => text)
  const before = pieces(block.repeat(10))
  const after = pieces(block.repeat(12))
  assert.ok(before.length > 3)
  assert.deepEqual(after.slice(0, before.length - 1), before.slice(0, -1))
})

test('no piece is longer than it may be, and no character is parted', () => {
  for (const text of [
    words(50_000),
    'x'.repeat(200_001),
    '😀'.repeat(100_000),
    'line\n'.repeat(50_000),
    '',
    '\n',
    'a\n\n\nb',
  ]) {
    for (const [pieces, max] of [
      [markdownPieces(text).map(({ text }) => text), 24_000],
      [textPieces(text), 20_000],
    ]) {
      assert.equal(pieces.join(''), text)
      assert.ok(pieces.every((piece) => piece.length <= max && piece.isWellFormed()))
    }
  }
})

test('pieces of plain text are whole lines', () => {
  const text = `${'a line of text\n'.repeat(3000)}the last`
  const pieces = textPieces(text)
  assert.equal(pieces.join(''), text)
  assert.ok(pieces.slice(0, -1).every((piece) => piece.endsWith('\n') && piece.split('\n').length <= 501))
})

test('the start of a text is so many lines, and so many characters', () => {
  assert.equal(startOf('a\nb\nc\nd', 2, 100), 'a\nb')
  assert.equal(startOf('a\nb', 2, 100), 'a\nb')
  assert.equal(startOf('\n\na', 2, 100), '\n')
  assert.equal(startOf('a😀b', 9, 2), 'a')
  assert.equal(startOf('abc', Infinity, 2), 'ab')
  assert.equal(startOf('', 5, 5), '')
})

test('a text that grows is read in the pieces that it would be read in at once', () => {
  const block = (at) =>
    ['words\n\n', '```js\nlet a\n\nlet b\n```\n\n', '| a | b |\n|---|---|\n| 1 | 2 |\n', '- item\n'][at % 4]
  let text = ''
  const reader = new MarkdownPieces()
  for (let at = 0; at < 900; at++) {
    text += block((at * 7) % 11).repeat(1 + (at % 9))
    if (at % 3) text = text.slice(0, -2)
    assert.deepEqual(reader.read(text), markdownPieces(text))
  }
  assert.ok(markdownPieces(text).length > 3)
  assert.deepEqual(reader.read('another text'), markdownPieces('another text'))
})

test('the last lines of a text', () => {
  assert.equal(endOf('a\nb\nc\n', 2, 100), 'b\nc\n')
  assert.equal(endOf('a\nb\nc', 2, 100), 'b\nc')
  for (const all of ['', '\n', 'a', 'a\n', 'a\nb']) assert.equal(endOf(all, 2, 100), all)
  assert.equal(endOf('a'.repeat(50), 2, 10), 'a'.repeat(10))
  assert.equal(endOf('x🙂', 2, 1).isWellFormed(), true)
})
