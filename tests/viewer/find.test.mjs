// Where words stand in a text.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { lineAround, placesAmong, placesOf } from '../../viewer/load/find.js'

test('words are found whatever their case, or as they are written, or as whole words', () => {
  const text = 'Fail, fail failed\nFAIL ünfail fail_x'
  assert.deepEqual(placesOf(text, 'fail'), [0, 6, 11, 18, 25, 30])
  assert.deepEqual(placesOf(text, 'FAIL', { isCase: true }), [18])
  assert.deepEqual(placesOf(text, 'fail', { isWord: true }), [0, 6, 18])
  assert.deepEqual(placesOf(text, 'fail', {}, 2), [0, 6])
  assert.deepEqual(placesOf(text, ''), [])
})

test('words are found that go on through several texts', () => {
  const places = (...given) => placesAmong(given.slice(0, -1), given.at(-1), {}, 9)
  assert.deepEqual(places('FAI', 'LED', ' tests', 'failed t'), [
    [
      [0, 0],
      [2, 2],
    ],
  ])
  assert.deepEqual(places('one ', 'two', '', 'two', 'two'), [
    [
      [1, 0],
      [1, 3],
    ],
    [
      [3, 0],
      [3, 3],
    ],
  ])
  // It begins where its first character is, and ends where its last one is.
  assert.deepEqual(places('a', 'b', 'c', 'b'), [
    [
      [1, 0],
      [1, 1],
    ],
  ])
  assert.deepEqual(places('İİ', 'end', 'end'), [
    [
      [1, 0],
      [1, 3],
    ],
  ])
})

test('a match is shown in its line', () => {
  assert.deepEqual(lineAround('one\n  two three\nfour', 10, 5), ['two ', 'three', ''])
  const long = `${'a'.repeat(100)} needle ${'b'.repeat(300)}`
  const [before, match, after] = lineAround(long, 101, 6)
  assert.deepEqual([before.length, match, after.length < 150], [41, 'needle', true])
  assert.match(before, /^…a+ $/)
})
