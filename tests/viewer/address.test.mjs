// Fragments are read as they were made, and what a link carries stays in it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fragmentOf, readFragment } from '../../viewer/address.js'

for (const place of [
  {},
  { id: 'msg_1' },
  { id: 'é & #/?=' },
  { room: 'changes', file: undefined },
  { room: 'changes', file: 'src/a b.rs' },
  { room: 'changes', file: 'a&q=x#%' },
  { search: 'fn main() & more', options: [] },
  { search: 'x', options: ['case', 'errors'] },
  { room: 'playback', time: 0 },
  { room: 'playback', time: 83_000 },
])
  test(`the fragment of ${JSON.stringify(place)}`, () => {
    assert.deepEqual(readFragment(fragmentOf(place)), place)
    const sealed = fragmentOf(place, '#k1=abc&changes/x')
    assert.match(sealed, /^#k1=abc(?:&|$)/)
    assert.deepEqual(readFragment(sealed), place)
  })

test('fragments are short where that is possible, and odd ones name something or nothing', () => {
  assert.equal(fragmentOf({ room: 'changes', file: 'src/money.rs' }), '#changes/src/money.rs')
  assert.equal(fragmentOf({ id: 'prt_2' }), '#prt_2')
  assert.deepEqual(readFragment('#%E0%A4%A'), { id: '%E0%A4%A' })
  assert.deepEqual(readFragment('#k1=abc'), {})
  assert.deepEqual(readFragment('#t=x'), { id: 't=x' })
})
