// Whose messages are the session's own, and where those of its subagents are opened.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { Changes } from '../../viewer/load/changes.js'
import { readingOrder, standing } from '../../viewer/load/order.js'
import { stepsOf } from '../../viewer/load/steps.js'
import { divide, sessionOf as sessionIn } from '../../viewer/load/subagents.js'
import { Turns } from '../../viewer/load/turns.js'
import { sessionOf } from '../lib/session.mjs'

const cases = JSON.parse(await readFile(new URL('../fixtures/subagents.json', import.meta.url), 'utf8'))
const ids = (messages) => messages.map(({ id }) => id)

for (const { name, session, came, own, subagents } of cases) {
  test(name, () => {
    const messages = came.map(([id, info, parts], n) => ({
      id,
      n,
      ...standing(info),
      session: sessionIn(info),
      tasks: parts.filter(([, session]) => session).map(([part, session]) => ({ part, session })),
    }))
    const divided = divide(session ?? undefined, readingOrder(messages), ({ tasks }) => tasks)
    assert.deepEqual(ids(divided.own), own)
    const found = [...divided.subagents.values()].map(({ session, messages, task, after }) => ({
      session,
      messages: ids(messages),
      ...(task && { task: [task.message.id, task.part] }),
      ...(after && { after: after.id }),
    }))
    assert.deepEqual(found, subagents)
  })
}

const message = (id, sessionID, role, more) => ({ type: 'message', data: { id, sessionID, role, ...more } })
const text = (id, messageID, words) => ({ type: 'part', data: { id, messageID, type: 'text', text: words } })
const call = (id, messageID, tool, state) => ({
  type: 'part',
  data: { id, messageID, type: 'tool', tool, state: { status: 'completed', ...state } },
})
const edit = (id, messageID, filePath) =>
  call(id, messageID, 'edit', { input: { filePath, oldString: `${id} before`, newString: `${id} after` } })

/** A session with a subagent, which has one itself. */
const items = (revert) => [
  { type: 'session', data: { id: 'ses', revert } },
  message('m1', 'ses', 'user'),
  text('p1', 'm1', 'Go'),
  message('m2', 'ses', 'assistant', { cost: 1, tokens: { input: 10 }, time: { created: 1 } }),
  edit('p2', 'm2', 'a.rs'),
  call('p3', 'm2', 'task', { metadata: { sessionId: 'sub' } }),
  message('s1', 'sub', 'user'),
  message('s2', 'sub', 'assistant', { cost: 2, tokens: { input: 5 }, time: { created: 2, completed: 9000 } }),
  edit('q1', 's2', 'a.rs'),
  call('q2', 's2', 'task', { metadata: { sessionId: 'deep' } }),
  message('d1', 'deep', 'assistant', { cost: 4 }),
  edit('r1', 'd1', 'b.rs'),
  message('m3', 'ses', 'user'),
  edit('p4', 'm3', 'a.rs'),
]

test('turns and what is undone are of the session itself', () => {
  const session = sessionOf(items())
  assert.deepEqual(
    session.turns().map(({ id, answers }) => [id, ids(answers)]),
    [
      ['m1', ['m2']],
      ['m3', []],
    ],
  )
  assert.deepEqual(
    session.turns('sub').map(({ id, answers }) => [id, ids(answers)]),
    [['s1', ['s2']]],
  )
  assert.deepEqual([session.undone(), sessionOf(items({ messageID: 'm3' })).undone()], [0, 1])
  assert.equal(sessionOf(items({ messageID: 's1' })).undone(), 0, 'an undo is of the session itself')
  const undone = sessionOf(items({ messageID: 'm2', partID: 'p3' }))
  assert.deepEqual(ids(undone.withSubagents()), ['m1', 'm2'], 'a task that was undone takes its subagent along')
  assert.deepEqual(ids(session.withSubagents()), ['m1', 'm2', 's1', 's2', 'd1', 'm3'])
})

test('what subagents cost and changed counts', () => {
  const session = sessionOf(items())
  const turns = new Turns(session)
  turns.update()
  const { cost, tokens, ended } = turns.totals
  assert.deepEqual([cost, tokens.all, ended], [7, 15, 9000])
  const { files } = new Changes(session, turns).read()
  assert.deepEqual(
    files.map(({ file }) => file),
    ['a.rs', 'b.rs'],
  )
  const { steps, files: changed, now } = stepsOf(session, 'sub')
  assert.deepEqual([steps, changed, now], [3, 2, undefined])
})

test('the agent does what its own last message says', () => {
  assert.equal(sessionOf(items().slice(0, -2)).activity.state, 'busy')
  assert.ok(sessionOf(items()).isOver('sub'))
  assert.ok(!sessionOf(items().filter(({ data }) => data.id !== 's2')).isOver('sub'))
})

test('what stands in a subagent is found from outside to inside', () => {
  const session = sessionOf(items())
  for (const [id, around] of [
    ['r1', ['sub', 'deep']],
    ['s1', ['sub']],
    ['m2', []],
    ['none', []],
  ])
    assert.deepEqual(session.subagentsAround(id), around, id)
})

test('a link that comes later, or goes, moves what the subagent said', () => {
  const session = sessionOf(items())
  const frame = (seq, item) => ({ type: 'items', epoch: 'e', seq, items: [item], removed: [], more: false })
  const [m2] = session.turns()[0].answers
  const task = { ...items()[5].data, state: { status: 'running' } }
  const change = session.apply(frame(2, { key: 'part/m2/p3', data: task }))
  assert.ok(change.messages.has('m2'))
  assert.deepEqual([session.subagentOf(m2, task), session.unlinkedAt(m2)], [undefined, ['sub']])
  task.state = { status: 'running', metadata: { sessionId: 'sub' } }
  session.apply(frame(3, { key: 'part/m2/p3', data: structuredClone(task) }))
  assert.deepEqual([session.subagentOf(m2, task), session.unlinkedAt(m2)], ['sub', []])
  session.apply({ ...frame(4), items: [], removed: ['part/m2/p3'] })
  assert.deepEqual(session.unlinkedAt(m2), ['sub'])
  const more = session.apply(frame(5, { key: 'part/s2/q9', data: { ...text('q9', 's2', 'x').data, sessionID: 'sub' } }))
  assert.equal(more.added, 0, 'what is new there is not new in the session')
})

test('until the item says which session it is, the first message does, and then nothing is lost', () => {
  const session = sessionOf(items().slice(1))
  assert.deepEqual(ids(session.ordered()), ['m1', 'm2', 'm3'])
  const data = { id: 'sub' }
  session.apply({ type: 'items', epoch: 'e', seq: 2, items: [{ key: 'session', data }], removed: [], more: false })
  assert.deepEqual(ids(session.ordered()), ['s1', 's2'])
  assert.equal(session.withSubagents().length, 6)
})
