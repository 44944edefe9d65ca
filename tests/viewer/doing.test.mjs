// What an agent does now is told by the last of what it said.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { doingOf } from '../../viewer/load/doing.js'
import { answer, prompt, text, tool } from '../lib/items.mjs'
import { sessionOf } from '../lib/session.mjs'

for (const [name, parts, kind, about] of [
  ['a call under way', [text('x'), tool('bash', { command: 'make' }, { status: 'running' })], 'run', 'make'],
  ['a call that is done', [tool('bash', { command: 'make' })], 'work'],
  ['a thought', [{ type: 'reasoning', text: 'Hm', time: { start: 5 } }], 'think'],
  ['a thought that is over', [{ type: 'reasoning', text: 'Hm', time: { start: 5, end: 6 } }], 'work'],
  ['an answer', [{ type: 'text', text: 'So', time: { start: 5 } }], 'write'],
  ['nothing yet', [], 'work'],
])
  test(name, () => {
    const doing = doingOf(sessionOf([...prompt('x'), ...answer(parts)]))
    assert.deepEqual([doing.kind, doing.call?.about], [kind, about])
  })

test('behind a prompt it works, and of nothing nothing is known', () => {
  assert.deepEqual(doingOf(sessionOf(prompt('x'))), { kind: 'work' })
  assert.deepEqual(doingOf(sessionOf([])), { kind: 'work' })
})
