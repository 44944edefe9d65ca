// Where words stand in a text.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { lineAround, placesOf } from '../../viewer/load/find.js'

test('words are found whatever their case, or as they are written, or as whole words', () => {
  const text = 'Fail, fail failed\nFAIL ünfail fail_x'
  assert.deepEqual(placesOf(text, 'fail'), [0, 6, 11, 18, 25, 30])
  assert.deepEqual(placesOf(text, 'FAIL', { isCase: true }), [18])
  assert.deepEqual(placesOf(text, 'fail', { isWord: true }), [0, 6, 18])
  assert.deepEqual(placesOf(text, 'fail', {}, 2), [0, 6])
  assert.deepEqual(placesOf(text, ''), [])
})

test('a match is shown in its line', () => {
  assert.deepEqual(lineAround('one\n  two three\nfour', 10, 5), ['two ', 'three', ''])
  const long = `${'a'.repeat(100)} needle ${'b'.repeat(300)}`
  const [before, match, after] = lineAround(long, 101, 6)
  assert.deepEqual([before.length, match, after.length < 150], [41, 'needle', true])
  assert.match(before, /^…a+ $/)
})
