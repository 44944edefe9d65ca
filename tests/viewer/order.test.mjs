// The order in which a session is read, by the vectors of a file: messages by when they came, and as they are read.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { messagesLeft, partOrder, partsLeft, readingOrder, standing } from '../../viewer/load/order.js'
import { sessionOf } from '../lib/session.mjs'

const fixture = async (name) => JSON.parse(await readFile(new URL(`../fixtures/${name}.json`, import.meta.url), 'utf8'))

const ids = (ordered) => ordered.map(({ id }) => id)

/** Messages as the session holds them, which came in this order. */
const arrived = (messages) => messages.map(([id, info], n) => ({ id, n, ...standing(info) }))

for (const { name, came, read } of await fixture('order')) {
  test(name, () => {
    const messages = arrived(came)
    assert.deepEqual(ids(readingOrder(messages)), read)
    assert.deepEqual(ids(readingOrder(messages.toReversed())), read, 'however they are given')
  })
}

test('every message is there once, whoever answers whom', () => {
  let seed = 1
  const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below
  for (let round = 0; round < 300; round++) {
    const came = Array.from({ length: random(9) }, (_, id) => [
      `m${id}`,
      { role: random(3) ? 'assistant' : 'user', time: { created: random(4) }, parentID: `m${random(10)}` },
    ])
    const read = ids(readingOrder(arrived(came)))
    assert.deepEqual(read.toSorted(), came.map(([id]) => id).toSorted())
    for (const [id, { role, parentID }] of came) {
      const isAnswer = role !== 'user' && came.some(([id]) => id === parentID)
      const inCircle = () => {
        const chain = new Set()
        for (let at = id; at && !chain.has(at); at = standing(Object.fromEntries(came)[at]).answers) chain.add(at)
        return chain.size > 1 || parentID === id
      }
      if (isAnswer) assert.ok(read.indexOf(parentID) < read.indexOf(id) || inCircle(), `${id} in ${read}`)
    }
  }
})

test('a long chain of answers is no matter', () => {
  const came = Array.from({ length: 100_000 }, (_, at) => [`m${at}`, { role: 'assistant', parentID: `m${at - 1}` }])
  assert.equal(readingOrder(arrived(came)).at(-1).id, 'm99999')
})

test('parts stand by when they came, then by id', () => {
  const parts = [
    { id: 'c', n: 5 },
    { id: 'b', n: 7 },
    { id: 'a', n: 7 },
    { id: 'z', n: 1 },
  ]
  assert.deepEqual(ids(partOrder(parts)), ['z', 'c', 'a', 'b'])
})

test('an undo takes back by place, and only what is there', () => {
  const order = [{ id: 'z' }, { id: 'a' }, { id: 'm' }]
  const left = (revert) => messagesLeft(revert, order)
  assert.deepEqual([left({ messageID: 'a' }), left({ messageID: 'z' }), left({ messageID: 'm' })], [1, 0, 2])
  assert.deepEqual([left({ messageID: 'a', partID: 'p' }), left({ messageID: 'b' })], [2, 3])
  for (const odd of [undefined, null, 5, 'a', [], {}, { messageID: 5 }]) assert.equal(left(odd), 3)
  const parts = [{ id: 'q' }, { id: 'p' }, { id: 'r' }]
  assert.equal(partsLeft({ messageID: 'a', partID: 'p' }, 'a', parts), 1)
  assert.equal(partsLeft({ messageID: 'a', partID: 'gone' }, 'a', parts), 3)
  assert.equal(partsLeft({ messageID: 'a', partID: 'p' }, 'z', parts), 3)
  assert.equal(partsLeft({ messageID: 'a' }, 'a', parts), 3)
})

test('ids that wrapped: an undo hides the named message and all after it, and nothing before', async () => {
  const session = sessionOf(await fixture('odd/undo-after-rollover'))
  const shown = session.ordered().flatMap((message) => session.partsOf(message).map(({ text }) => text))
  assert.deepEqual(shown, ['prompt before', 'answer before', 'prompt after', 'answer after'])
  assert.equal(session.undone(), 2)
})

test('an answer of a machine whose clock is behind stands in the turn of its prompt', async () => {
  const session = sessionOf(await fixture('odd/answer-before-prompt'))
  assert.deepEqual(
    session.turns().map(({ prompt, answers }) => [prompt.id, ids(answers)]),
    [
      ['msg_b2', ['msg_a1']],
      ['msg_b3', ['msg_b4']],
    ],
  )
})

test('parts without their message, and messages without parts, have a place', () => {
  const session = sessionOf([
    { type: 'part', data: { id: 'p', messageID: 'gone', type: 'text', text: 'stray' } },
    { type: 'message', data: { id: 'm', role: 'user' } },
  ])
  const turns = session.turns()
  assert.deepEqual(
    turns.map(({ id, prompt, answers }) => [id, prompt?.id, ids(answers)]),
    [
      ['m', 'm', []],
      [undefined, undefined, ['gone']],
    ],
  )
  assert.deepEqual(
    session.partsOf(turns[1].answers[0]).map(({ text }) => text),
    ['stray'],
  )
})
