// Of a line that a progress bar rewrites, what was written last is shown; and long lines cost no more than their
// length.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { lastOfEachLine } from '../../viewer/ansi.js'

test('what was written last on a line stays', () => {
  const cases = {
    'plain\ntext\n': 'plain\ntext\n',
    'windows\r\nlines\r\n': 'windows\nlines\n',
    '10 %\r50 %\r100 %\ndone': '100 %\ndone',
    'a\rb\r\r\nc\r': 'b\nc',
    '\r\n\r\r\n\r': '\n\n',
    'abc\r\rd': 'd',
    '': '',
  }
  for (const [written, shown] of Object.entries(cases))
    assert.equal(lastOfEachLine(written), shown, JSON.stringify(written))
})

test('a line of a million characters is no matter', () => {
  const took = (text) => {
    const started = performance.now()
    lastOfEachLine(text)
    return performance.now() - started
  }
  for (const line of ['x', 'x\r', '\r', '\rx\n', ' \r\n']) {
    const ms = took(line.repeat(1_000_000 / line.length))
    assert.ok(ms < 1000, `${JSON.stringify(line)}: ${ms} ms`)
  }
})
