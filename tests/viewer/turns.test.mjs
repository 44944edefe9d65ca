// The turns of a session are kept, and what each came to is counted anew only when it has changed.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Session } from '../../viewer/load/session.js'
import { Turns } from '../../viewer/load/turns.js'
import { answer, prompt, text, tool } from '../lib/items.mjs'
import { keyOf } from '../lib/session.mjs'

const run = (command, exit, output = '') => tool('bash', { command }, { output, metadata: { exit } })
const DIFF = '--- a\n+++ a\n@@ -1 +1,2 @@\n-1\n+2\n+3\n'

/** A session that takes items, and its turns. */
function start() {
  const session = new Session()
  const turns = new Turns(session)
  let seq = 0
  const take = (items, removed = []) => {
    const frame = { type: 'items', epoch: 'e', seq: (seq += 1), removed, more: false }
    const { all, messages } = session.apply({ ...frame, items: items.map((item) => ({ key: keyOf(item), ...item })) })
    turns.update(all ? undefined : messages)
  }
  return { session, turns, take }
}

test('a turn says what it changed, how its tests went, what failed and what it cost', () => {
  const { turns, take } = start()
  take([
    ...prompt('  Make it\nwork  '),
    ...answer([
      tool('edit', { filePath: 'a' }, { metadata: { diff: DIFF } }),
      tool('edit', { filePath: 'a' }, { metadata: { diff: DIFF } }),
      run('cargo test', 101, 'test result: FAILED. 3 passed; 1 failed;'),
      run('cargo test', 0, 'test result: ok. 4 passed; 0 failed;'),
    ]),
    ...prompt('And now?'),
    ...answer([run('make', 2)]),
  ])
  const [one, two] = turns.all
  assert.deepEqual([one.number, one.label, two.label], [1, 'Make it work', 'And now?'])
  const { files, added, removed, commands, tests, errors, outcome, cost } = one.sum
  assert.deepEqual([files, added, removed, commands, errors.length, cost], [['a'], 4, 2, 2, 1, 0.01])
  assert.deepEqual([tests, outcome], [{ passed: 4, failed: 0 }, 'done'], 'its last run of tests went well')
  assert.deepEqual([two.sum.outcome, two.sum.errors.length], ['failed', 1])
  assert.deepEqual([turns.totals.errors, turns.totals.commands, turns.totals.cost], [2, 3, 0.02])
})

test('a turn runs, stops, fails or is done', () => {
  for (const [info, outcome] of [
    [{ isUnderWay: true }, 'running'],
    [{}, 'done'],
    [{ error: { name: 'MessageAbortedError' } }, 'stopped'],
    [{ error: { name: 'APIError' } }, 'failed'],
  ]) {
    const { turns, take } = start()
    const items = [...prompt('x'), ...answer([text('y')], info)]
    if (info.isUnderWay) delete items[2].data.time.completed
    take(items)
    assert.equal(turns.all[0].sum.outcome, outcome)
    take(prompt('next'))
    assert.equal(turns.all[0].sum.outcome === 'running', false, 'no turn before another one is under way')
    assert.equal(turns.all[1].sum.outcome, 'running')
  }
})

test('a change is a change of its turn alone', () => {
  const { turns, take } = start()
  const first = [...prompt('one'), ...answer([text('a')])]
  const second = [...prompt('two'), ...answer([text('b')])]
  take([...first, ...second])
  const [one, two] = turns.all
  const sum = one.sum
  const versions = [one.version, two.version]
  second[3].data.text = 'b and more'
  take([second[3]])
  assert.deepEqual([one.version, two.version], [versions[0], versions[1] + 1])
  assert.equal(one.sum, sum)
  take([...prompt('three')])
  assert.equal(turns.all[0], one)
  assert.equal(one.sum, sum, 'a turn that was not the last is as it was')
  assert.deepEqual([turns.all.length, turns.get(turns.all[2].id), turns.of(second[2].data.id)], [3, turns.all[2], two])
  take([], [`message/${second[0].data.id}`, `part/${second[1].data.messageID}/${second[1].data.id}`])
  assert.deepEqual(
    turns.all.map(({ number, label }) => [number, label]),
    [
      [1, 'one'],
      [2, 'three'],
    ],
  )
})

test('what a client noted of a turn comes before its edits', () => {
  const { turns, take } = start()
  const [message, ...parts] = prompt('x')
  message.data.summary = { diffs: [{ file: 'b', patch: DIFF, additions: 9, deletions: 1 }] }
  take([message, ...parts, ...answer([tool('edit', { filePath: 'a' }, { metadata: { diff: DIFF } })])])
  const { files, added, removed } = turns.all[0].sum
  assert.deepEqual([files, added, removed], [['b'], 9, 1])
})
