// The session out of its frames: what is held is always what was stored, and what does not fit changes nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Session, promptText, times } from '../../viewer/load/session.js'
import { Turns, cachedShare, tokensOf } from '../../viewer/load/turns.js'

const part = (id, text, messageID = 'm') => ({
  key: `part/${messageID}/${id}`,
  type: 'part',
  data: { id, messageID, type: 'text', text },
})
const message = (id, created, data = {}) => ({
  key: `message/${id}`,
  type: 'message',
  data: { id, role: 'user', time: { created }, ...data },
})
const append = (id, at, text, path = '/text') => ({ key: `part/m/${id}`, append: { path, at, text } })
const frame = (seq, items, { more = false, removed = [], epoch = 'e' } = {}) => ({
  type: 'items',
  epoch,
  seq,
  items,
  removed,
  more,
})

/** The texts of a session's parts, by their ids. */
const texts = (session) =>
  Object.fromEntries(session.ordered().flatMap((message) => session.partsOf(message).map(({ id, text }) => [id, text])))

const holding = (...items) => {
  const session = new Session()
  session.apply(frame(2, [message('m', 1), ...items]))
  return session
}

test('messages stand by time, and parts by when they came', () => {
  const session = new Session()
  const ids = () => session.ordered().map(({ id }) => id)
  const came = (item, n) => ({ ...item, n })
  session.apply(frame(4, [came(part('p2', 'two'), 2), came(part('p1', 'one'), 3), message('z', 5), message('a', 5)]))
  assert.deepEqual(ids(), ['z', 'a'])
  session.apply(frame(5, [message('m', 1)]))
  assert.deepEqual(
    [ids(), Object.keys(texts(session))],
    [
      ['m', 'z', 'a'],
      ['p2', 'p1'],
    ],
  )
  session.apply(frame(6, [message('m', 9), came(part('p2', 'TWO'), 2)]))
  assert.deepEqual([ids(), texts(session)], [['z', 'a', 'm'], { p2: 'TWO', p1: 'one' }])
  session.apply(frame(7, [], { removed: ['message/z', 'part/m/p1'] }))
  assert.deepEqual([ids(), texts(session)], [['a', 'm'], { p2: 'TWO' }])
})

test('parts whose message may still come are not shown without it', () => {
  const session = new Session()
  session.apply(frame(4, [part('p', 'words')], { more: true }))
  assert.equal(session.turns().length, 0)
  session.apply(frame(5, [], { more: false }))
  assert.deepEqual(
    session.turns().map(({ id }) => id),
    [undefined],
  )
  session.apply(frame(6, [message('m', 1)]))
  assert.deepEqual(
    session.turns().map(({ id }) => id),
    ['m'],
  )
})

test('an append is taken from the position that it was made from, and from no other', () => {
  const session = holding(part('p', 'One'))
  assert.equal(session.apply({ ...frame(5, [append('p', 3, ' two')]), from: 2 }).lost, false)
  assert.deepEqual(texts(session), { p: 'One two' })
  assert.equal(session.apply({ ...frame(6, [append('p', 7, '!')]), from: 4 }).lost, true)
  assert.deepEqual(texts(session), { p: 'One two' })
})

test('an append is taken where it fits a state that was stored', () => {
  const session = holding(part('p', 'One'))
  const before = session.partsOf(session.ordered()[0])[0]
  const change = session.apply(frame(3, [append('p', 3, ' two')]))
  assert.deepEqual([change.lost, [...change.messages], texts(session)], [false, ['m'], { p: 'One two' }])
  assert.equal(before.text, 'One', 'who holds the older version keeps it')
  assert.deepEqual(session.position, { epoch: 'e', seq: 3 })
})

const UNFIT = {
  'to another length': [append('p', 2, 'x')],
  'to a part that is not here': [append('q', 0, 'x')],
  'to a field that is not here': [append('p', 0, 'x', '/note')],
  'to a field that is no text': [append('n', 1, 'x')],
  'to what every object inherits': [append('p', 0, 'x', '/constructor')],
  'to an item of another kind': [{ key: 'session', append: { path: '/title', at: 0, text: 'x' } }],
  'beside items that fit': [part('p', 'whole'), message('other', 1), append('q', 0, 'x')],
}
for (const [name, items] of Object.entries(UNFIT)) {
  test(`an append ${name} changes nothing, and all is loaded anew`, () => {
    const session = holding(part('p', 'One'), part('n', 5))
    const change = session.apply(frame(3, items))
    assert.equal(change.lost, true)
    assert.deepEqual([texts(session), session.position], [{ p: 'One', n: 5 }, undefined])
    // The first page of two is not shown before the second.
    const first = session.apply(frame(2, [message('m', 1), part('p', 'new')], { more: true }))
    assert.deepEqual(
      [first.lost, first.all, first.messages.size, texts(session)],
      [false, false, 0, { p: 'One', n: 5 }],
    )
    assert.deepEqual(session.position, { epoch: 'e', seq: 2 })
    const last = session.apply(frame(4, [part('q', 'newer')]))
    assert.deepEqual([last.all, last.added, texts(session)], [true, 1, { p: 'new', q: 'newer' }])
  })
}

test('while there is more, an append is refused: what it was added to may have been left out', () => {
  const session = holding(part('p', 'AAAA'))
  session.apply(frame(4, [part('j', 'x')], { more: true }))
  assert.equal(session.apply(frame(5, [append('p', 4, 'C')])).lost, true)
  assert.equal(texts(session).p, 'AAAA')
})

test('a position that goes back is none of the same history', () => {
  const session = holding(part('p', 'One'))
  assert.equal(session.apply(frame(1, [part('p', 'older')])).lost, true)
  assert.deepEqual([texts(session), session.position], [{ p: 'One' }, undefined])
})

test('another epoch takes the place of what is shown when all of it is there', () => {
  const session = holding(part('p', 'One'))
  const other = { epoch: 'other' }
  assert.equal(session.apply(frame(1, [message('m', 1)], { ...other, more: true })).all, false)
  assert.deepEqual([texts(session), session.position], [{ p: 'One' }, { epoch: 'other', seq: 1 }])
  assert.equal(session.apply(frame(2, [part('q', 'two')], other)).all, true)
  assert.deepEqual(texts(session), { q: 'two' })
  assert.equal(session.apply(frame(3, [append('q', 3, '!')], other)).lost, false)
  assert.deepEqual(texts(session), { q: 'two!' })
})

test('a session of odd values is a session', () => {
  const odd = [null, 5, 'text', [], {}, true]
  for (const value of odd) {
    const session = new Session()
    session.apply(
      frame(9, [
        { key: 'session', data: { title: value, time: value, revert: value, cost: value } },
        { key: 'message/a', data: { id: 'a', role: value, time: value, tokens: value, cost: value } },
        {
          key: 'message/b',
          data: {
            id: 'b',
            role: 'assistant',
            time: { created: value, completed: value },
            tokens: { total: value, cache: value },
          },
        },
        { key: 'part/a/p', data: { id: 'p', messageID: 'a', type: value, text: value } },
        { key: 'session_diff', data: value },
        { key: 'model', data: [value] },
        { key: 'constructor/x', data: value },
        { key: '__proto__', data: value },
      ]),
    )
    assert.equal(session.ordered().length, 2)
    assert.equal(session.turns().length, 1)
    const turns = new Turns(session)
    turns.update()
    assert.ok(Number.isFinite(turns.totals.cost) && Number.isFinite(turns.totals.tokens.all))
    assert.equal(session.undone(), 0)
    assert.ok(Array.isArray(session.diffs) && session.models.length <= 1)
  }
})

test('times are numbers or ISO 8601, and nothing else', () => {
  const read = (created) => times({ time: { created } }).created
  assert.deepEqual([5, '2026-11-25T03:00:00.000Z', 'yesterday', null, {}, NaN, 8.7e15].map(read), [
    5,
    1_795_575_600_000,
    ...Array(5).fill(undefined),
  ])
})

test('a prompt is its texts, and tokens are counted', () => {
  assert.equal(
    promptText([
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b', synthetic: true },
      { type: 'file' },
      { type: 'text', text: 5 },
    ]),
    'a\n\n5',
  )
  assert.deepEqual(
    [
      tokensOf(undefined),
      tokensOf({ total: 7, input: 1 }),
      tokensOf({ input: 1, output: 2, reasoning: 4, cache: { read: 3, write: 'x' } }),
    ],
    [
      { all: 0, input: 0, output: 0, read: 0, write: 0 },
      { all: 7, input: 1, output: 0, read: 0, write: 0 },
      { all: 10, input: 1, output: 6, read: 3, write: 0 },
    ],
  )
  assert.equal(cachedShare(tokensOf({ input: 1, cache: { read: 3 } })), 0.75)
  assert.equal(cachedShare(tokensOf({ input: 1 })), undefined)
})

test('what the agent does is what it says, or else what its last message says', () => {
  const session = new Session()
  assert.equal(session.activity, undefined)
  const answered = (data) => message('a', 2, { role: 'assistant', ...data })
  for (const [items, state] of [
    [[message('m', 1)], 'busy'],
    [[answered({ time: { created: 2 } })], 'busy'],
    [[answered({ time: { created: 2, completed: 3 } })], 'idle'],
    [[answered({ time: { created: 2 }, error: { name: 'MessageAbortedError' } })], 'idle'],
    [[answered({ time: undefined })], 'idle'],
    [[{ key: 'status', type: 'status', data: { state: 'waiting', label: 'Run `make`?', at: 5 } }], 'waiting'],
    [[{ key: 'status', type: 'status', data: { state: 'asleep' } }], 'idle'],
  ]) {
    session.apply(frame((session.position?.seq ?? 0) + 1, items))
    assert.equal(session.activity.state, state, JSON.stringify(items))
  }
  session.apply(frame(20, [{ key: 'agent', type: 'agent', data: { name: 'brutus', version: '1.2' } }]))
  assert.equal(session.agent, 'brutus 1.2')
  session.apply(frame(21, [], { removed: ['status', 'agent'] }))
  assert.deepEqual([session.agent, session.activity.state], [undefined, 'idle'])
})
