// Numbers, sizes and times as people read them.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { bytes, cost, duration, timeAgo } from '../../viewer/format.js'

test('spans of time', () => {
  const spans = { 0: '0 ms', 850: '850 ms', 4200: '4.2 s', 185_000: '3 min 5 s', 7_260_000: '2 h 1 min' }
  for (const [ms, words] of Object.entries(spans)) assert.equal(duration(Number(ms)), words)
  for (const odd of [-1, NaN, undefined]) assert.equal(duration(odd), '')
})

test('sizes and prices', () => {
  assert.deepEqual([0, 1023, 1024, 15_000, 5 << 20, 3 * 2 ** 30].map(bytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '15 KiB',
    '5.0 MiB',
    '3.0 GiB',
  ])
  assert.match(cost(0.0624), /0[.,]0624/)
  assert.match(cost(21.836), /21[.,]84/)
  for (const nothing of [0, -1, NaN, undefined]) assert.equal(cost(nothing), '')
})

test('a time that lies ahead is now: clocks of different machines differ', () => {
  const now = 1_795_000_000_000
  assert.equal(timeAgo(now + 19_000, now), timeAgo(now, now))
  assert.notEqual(timeAgo(now - 19_000, now), timeAgo(now, now))
  assert.notEqual(timeAgo(now - 3 * 3600_000, now), timeAgo(now - 3 * 60_000, now))
})
