// Fragments are read as they were made, and what a link carries stays in it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fragmentOf, keyOf, ownerOf, readFragment } from '../../viewer/address.js'

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
    assert.equal(keyOf(sealed), 'abc')
    assert.equal(fragmentOf(place, '#o=secret&changes/x'), fragmentOf(place), 'an owner is never a part of a link')
  })

test('fragments are short where that is possible, and odd ones name something or nothing', () => {
  assert.equal(fragmentOf({ room: 'changes', file: 'src/money.rs' }), '#changes/src/money.rs')
  assert.equal(fragmentOf({ id: 'prt_2' }), '#prt_2')
  assert.deepEqual(readFragment('#%E0%A4%A'), { id: '%E0%A4%A' })
  assert.deepEqual(readFragment('#k1=abc'), {})
  assert.deepEqual(readFragment('#t=x'), { id: 't=x' })
  assert.equal(fragmentOf({ id: 'msg_1' }, '#k1=abc'), '#k1=abc&at=msg_1')
  assert.deepEqual(readFragment('#at=msg_1'), { id: 'msg_1' })
  assert.deepEqual(readFragment('#k1=abc&msg_1'), { id: 'msg_1' })
})

test('what a link carries beside its place', () => {
  const carried = (hash) => [keyOf(hash), ownerOf(hash), readFragment(hash)]
  assert.deepEqual(carried('#k1=abc&o=se-cret&at=msg_1'), ['abc', 'se-cret', { id: 'msg_1' }])
  assert.deepEqual(carried('#o=se-cret'), [undefined, 'se-cret', {}])
  assert.deepEqual(carried('#changes/a=k1=b'), [undefined, undefined, { room: 'changes', file: 'a=k1=b' }])
  assert.deepEqual(carried('#k1='), ['', undefined, {}])
})
