// The messages of OpenCode's second API, by the table that the server's Markdown is held to as well; and in a session.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { messagesOf } from '../../viewer/load/messages.js'
import { Session, promptText } from '../../viewer/load/session.js'

const cases = JSON.parse(await readFile(new URL('../fixtures/messages.json', import.meta.url), 'utf8'))

for (const { name, messages, read } of cases) {
  test(name, () => {
    const found = messagesOf(messages)
    assert.deepEqual(
      found.map(({ info, parts }) => ({ info, parts })),
      read,
    )
    assert.deepEqual(
      found.map(({ id }) => id),
      read.map(({ info }) => info.id),
    )
  })
}

test('what is no list has no messages', () => {
  for (const odd of [undefined, null, 7, 'x', {}]) assert.deepEqual(messagesOf(odd), [])
})

const prompt = (id, text) => ({ id, type: 'user', time: { created: 1 }, text })
const answer = (id, ...texts) => ({
  id,
  type: 'assistant',
  time: { created: 2 },
  content: texts.map((text, at) => ({ type: 'text', id: `text-${at}`, text })),
})
let seq = 0
const frame = (items, removed = [], epoch = 'e') => ({ type: 'items', epoch, seq: ++seq, items, removed, more: false })
const batch = (sessionID, ...messages) => ({
  key: `messages/${sessionID}`,
  type: 'messages',
  data: { sessionID, messages },
  n: 1,
})
const info = (id) => ({ key: 'session', type: 'session', data: { id }, n: 0 })
const ids = (session) => session.ordered().map(({ id }) => id)

test('a session is made of its own messages, in their order', () => {
  const session = new Session()
  const first = session.apply(
    frame([batch('child', prompt('c', 'inner')), batch('s', prompt('b', 'Do it'), answer('a', 'Done.'))]),
  )
  assert.deepEqual(ids(session), ['c', 'b', 'a'], 'all of them, while nobody knows whose they are')
  assert.deepEqual([first.added, first.messages], [3, new Set(['c', 'b', 'a'])])
  assert.equal(session.empty, false)
  session.apply(frame([info('s')]))
  assert.deepEqual(ids(session), ['b', 'a'])
  const [turn] = session.turns()
  assert.equal(promptText(session.partsOf(turn.prompt)), 'Do it')
  assert.deepEqual(
    session.partsOf(turn.answers[0]).map(({ id, text }) => [id, text]),
    [['a-0', 'Done.']],
  )
})

test('a newer version changes the messages alone that are different', () => {
  const session = new Session()
  session.apply(frame([info('s'), batch('s', prompt('b', 'Do it'), answer('a', 'One', 'Two'), prompt('z', 'gone'))]))
  const [before, grown] = session.ordered()
  const [one] = session.partsOf(grown)
  const change = session.apply(frame([batch('s', prompt('b', 'Do it'), answer('a', 'One', 'Two more', 'Three'))]))
  assert.deepEqual([change.added, change.messages], [1, new Set(['a', 'z'])])
  const [after, newer] = session.ordered()
  assert.equal(after, before)
  const parts = session.partsOf(newer)
  assert.equal(parts[0], one, 'a part that is as it was')
  assert.deepEqual(
    parts.map(({ text }) => text),
    ['One', 'Two more', 'Three'],
  )
  assert.deepEqual(ids(session), ['b', 'a'])
  const removed = session.apply(frame([], ['messages/s']))
  assert.deepEqual([ids(session), removed.messages, session.empty], [[], new Set(['b', 'a']), true])
})

test('messages of both APIs stand one after the other, each once, and an undo takes both back', () => {
  const session = new Session()
  const message = {
    key: 'message/a',
    type: 'message',
    data: { id: 'a', role: 'assistant', time: { created: 9 } },
    n: 2,
  }
  session.apply(frame([info('s'), batch('s', prompt('b', 'Do it'), answer('a', 'twice')), message]))
  assert.deepEqual(ids(session), ['a', 'b'])
  session.apply(frame([{ ...info('s'), data: { id: 's', revert: { messageID: 'b' } } }]))
  assert.deepEqual([ids(session), session.undone()], [['a'], 1])
})

test('what is loaded anew takes the place of what was there, and counts what is new', () => {
  const session = new Session()
  session.apply(frame([info('s'), batch('s', prompt('b', 'Do it'))]))
  const change = session.apply(frame([info('s'), batch('s', prompt('b', 'Do it'), answer('a', 'Done.'))], [], 'f'))
  assert.deepEqual([change.all, change.added, ids(session)], [true, 1, ['b', 'a']])
})

test('an odd batch is no messages', () => {
  const session = new Session()
  for (const data of [7, null, [], { sessionID: 's', messages: 7 }]) {
    session.apply(frame([{ key: 'messages', type: 'messages', data, n: 1 }]))
    assert.deepEqual(ids(session), [], JSON.stringify(data))
  }
})
