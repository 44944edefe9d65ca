// Calls of tools by their meaning, by the table of cases that the server's Markdown is held to as well; and the patches
// that are made of what they say.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { filePatch, patchOf, roughPatchOf } from '../../viewer/load/patch.js'
import table from '../../viewer/load/tools-table.js'
import { callOf } from '../../viewer/load/tools.js'
import { filesOf, lineCounts } from '../../viewer/load/rows.js'

const cases = JSON.parse(await readFile(new URL('../fixtures/tools.json', import.meta.url), 'utf8'))

/** A call without what says nothing. */
function plain(call) {
  const { changes, ...rest } = call
  return JSON.parse(JSON.stringify({ ...rest, ...(changes.length && { changes }) }))
}

for (const { name, part, read } of cases) test(name, () => assert.deepEqual(plain(callOf(part)), read))

test('each name leads to one tool, in small letters', () => {
  const names = Object.entries(table.tools).flatMap(([tool, { names }]) => [tool, ...names])
  assert.equal(new Set(names).size, names.length)
  for (const name of [...names, ...table.servers]) assert.equal(name, name.toLowerCase())
})

test('any value in any place is a call', () => {
  const values = [null, 7, '', 'odd', true, [], [null], {}, [{}], ['a', 7], { length: 3 }, '{"a":', '{}', '[]']
  for (const { part } of cases) {
    for (const value of values) {
      for (const odd of [
        value,
        { ...part, tool: value },
        { ...part, state: value },
        ...Object.keys(part.state).map((name) => ({ ...part, state: { ...part.state, [name]: value } })),
        ...Object.keys(Object(part.state.input)).map((name) => ({
          ...part,
          state: { ...part.state, input: { ...Object(part.state.input), [name]: value } },
        })),
      ]) {
        const call = callOf(Object(odd))
        assert.ok(Array.isArray(call.changes))
        for (const change of call.changes)
          assert.equal(typeof patchOf(change) + typeof roughPatchOf(change), 'stringstring')
      }
    }
  }
})

const rows = (patch) =>
  filesOf(patch).flatMap(({ name, rows }) => [
    name,
    ...rows.map(({ kind, old, new: newer }) => {
      const side = (cell) => (cell ? `${cell.number ?? '?'}:${cell.text}` : '-')
      return kind === 'gap' ? '...' : `${kind === 'same' ? '=' : '!'} ${side(old)} ${side(newer)}`
    }),
  ])

test('old and new text are a patch whose place nobody knows', () => {
  const edits = [
    { before: 'a\nb\nc', after: 'a\nB\nc\n' },
    { before: '', after: '-- a comment\n++ x' },
    { before: '-- gone', after: '++ came' },
  ]
  const shown = ['= ?:a ?:a', '! ?:b ?:B', '= ?:c ?:c', '...', '! - ?:-- a comment', '! - ?:++ x', '...']
  assert.deepEqual(rows(patchOf({ file: 'x', edits })), ['x', ...shown, '! ?:-- gone ?:++ came'])
  assert.deepEqual(lineCounts(roughPatchOf({ file: 'x', edits })), { added: 6, removed: 4 })
})

test('a file that is written is all added, and knows its lines', () => {
  assert.deepEqual(rows(patchOf({ file: 'x', content: 'a\nb\n' })), ['x', '! - 1:a', '! - 2:b'])
  assert.deepEqual(rows(patchOf({ file: 'x\n+++ y', content: 'a' })), ['x +++ y', '! - 1:a'])
})

test('a patch of Codex is one of each file, with the name that it had', () => {
  const { part } = cases.find(({ name }) => name.includes('whose input is the patch'))
  const [moved, added, deleted] = callOf(part).changes.map(({ patch }) => rows(patch))
  const lines = ['! ?:a ?:b', '= ?:c ?:c', '...', '! - ?:d']
  assert.deepEqual(moved, ['fizz.py → buzz.py', ...lines])
  assert.deepEqual([added, deleted], [['new.py', '! - 1:one', '! - 2:two'], ['old.py']])
})

test('texts of which all differs cost little, one or many', () => {
  const lines = (word, count) => Array.from({ length: count }, (_, at) => `${word} ${at}`).join('\n')
  const started = performance.now()
  const many = Array.from({ length: 200 }, () => ({ before: lines('a', 400), after: lines('b', 400) }))
  assert.deepEqual(lineCounts(patchOf({ file: 'x', edits: many })), { added: 80_000, removed: 80_000 })
  assert.deepEqual(lineCounts(filePatch('x', lines('a', 20_000), lines('b', 20_000))), {
    added: 20_000,
    removed: 20_000,
  })
  assert.ok(performance.now() - started < 3000)
})

test('long inputs are read in a time that grows as they do', () => {
  const long = 'x'.repeat(1_000_000)
  const started = performance.now()
  for (const command of [
    `apply_patch <<${long}\n`,
    `apply_patch <<E${'\nE'.repeat(500_000)}`,
    `cd ${long} && apply_patch <<E\nE`,
    `apply_patch ${' '.repeat(1_000_000)}`,
    ['ls', `${long}'`],
  ])
    callOf({ tool: 'bash', state: { input: { command }, output: `Exit code ${long}` } })
  callOf({ tool: 'mcp_' + '_'.repeat(1_000_000), state: { input: '{'.repeat(1_000_000) } })
  callOf({ tool: 'apply_patch', state: { input: `*** Begin Patch\n*** Add File: x\n${'+\n@@\n'.repeat(200_000)}` } })
  assert.ok(performance.now() - started < 3000)
})
