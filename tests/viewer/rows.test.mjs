// The rows of a diff, whoever wrote the patch.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { wholePatch } from '../../viewer/load/patch.js'
import { filesOf, lineCounts } from '../../viewer/load/rows.js'
import { processorTime } from '../lib/cost.mjs'

/** A file's rows as text: the numbers and lines of either side. */
const shown = (rows) =>
  rows.map(({ kind, old, new: newer }) => {
    const side = (cell) => (cell ? `${cell.number ?? '?'}:${cell.text}` : '-')
    return kind === 'gap' ? '...' : `${kind === 'same' ? '=' : '!'} ${side(old)} ${side(newer)}`
  })

const read = (patch) => Object.fromEntries(filesOf(patch).map(({ name, rows }) => [name, shown(rows)]))

test('a patch of several files and hunks', () => {
  const patch = [
    'diff --git a/one.txt b/one.txt',
    'index 1..2 100644',
    '--- a/one.txt',
    '+++ b/one.txt',
    '@@ -1,3 +1,4 @@ fn x',
    ' a',
    '-b',
    '+B',
    '+C',
    ' d',
    '@@ -9 +10 @@',
    '-i',
    '+I',
    '--- /dev/null',
    '+++ b/new.txt\t2026-01-01',
    '@@ -0,0 +1 @@',
    '+n',
    '\\ No newline at end of file',
    '--- a/gone.txt',
    '+++ /dev/null',
    '@@ -1 +0,0 @@',
    '-g',
    '',
  ].join('\n')
  assert.deepEqual(read(patch), {
    'one.txt': ['= 1:a 1:a', '! 2:b 2:B', '! - 3:C', '= 3:d 4:d', '...', '! 9:i 10:I'],
    'new.txt': ['! - 1:n'],
    'gone.txt': ['! 1:g -'],
  })
  assert.deepEqual(lineCounts(patch), { added: 4, removed: 3 })
})

test('counts that are wrong, heads without counts, and no heads at all', () => {
  assert.deepEqual(read('--- a/x\n+++ b/x\n@@ -1,9 +1,1 @@\n a\n-b\n+c\n+d\n'), {
    x: ['= 1:a 1:a', '! 2:b 2:c', '! - 3:d'],
  })
  assert.deepEqual(read('@@\n-a\n+b\n@@ ... @@\n c'), { '': ['! ?:a ?:b', '...', '= ?:c ?:c'] })
  assert.deepEqual(read('-a\n+b\n c\nplain'), { '': ['! ?:a ?:b', '= ?:c ?:c', '= ?:plain ?:plain'] })
})

test('removed and added lines that look like heads are lines', () => {
  const patch = '--- a/x.lua\n+++ b/x.lua\n@@ -1,2 +1,2 @@\n--- a comment\n+++ another\n same\n'
  assert.deepEqual(read(patch), { 'x.lua': ['! 1:-- a comment 1:++ another', '= 2:same 2:same'] })
  assert.deepEqual(lineCounts(patch), { added: 1, removed: 1 })
})

test('lines of Windows, and empty ones', () => {
  assert.deepEqual(read('--- a/x\r\n+++ b/x\r\n@@ -1,3 +1,3 @@\r\n a\r\n\r\n-b\r\n+c\r\n'), {
    x: ['= 1:a 1:a', '= 2: 2:', '! 3:b 3:c'],
  })
})

test('what is nothing has no rows, and what is no text of a patch is shown', () => {
  for (const nothing of ['', '\n', '--- a/x\n+++ b/x\n'])
    assert.equal(
      filesOf(nothing)
        .flatMap(({ rows }) => rows)
        .filter(({ old }) => old?.text).length,
      0,
    )
  assert.deepEqual(read('*** Update File: x\n-a\n+b'), {
    '': ['= ?:*** Update File: x ?:*** Update File: x', '! ?:a ?:b'],
  })
})

test('the whole of two texts', () => {
  assert.deepEqual(read(wholePatch('x', 'a\nb\n', 'c\n')), { x: ['! 1:a 1:c', '! 2:b -'] })
  assert.deepEqual(read(wholePatch('x', '', 'c')), { x: ['! - 1:c'] })
})

test('a patch of a hundred thousand lines is no matter', () => {
  for (const line of ['-a\n', '+a\n', ' a\n', '@@\n', '--- a\n+++ b\n', '\n', '-a\n+b\n']) {
    const ms = processorTime(() => filesOf(`--- a/x\n+++ b/x\n@@ -1,99999 +1,99999 @@\n${line.repeat(100_000)}`))
    assert.ok(ms < 3000, `${JSON.stringify(line)}: ${ms} ms`)
  }
})

test('lines that are alike stand side by side, wherever they are in what changed', () => {
  const patch =
    '@@ -1,2 +1,4 @@\n-Ok(total)\n-let x = old_name(1)\n' +
    '+if total.is_negative() {\n+}\n+Ok(total)\n+let x = new_name(1)\n'
  const [{ rows }] = filesOf(patch)
  assert.deepEqual(
    rows.map((row) => [row.old?.text, row.new?.text]),
    [
      [undefined, 'if total.is_negative() {'],
      [undefined, '}'],
      ['Ok(total)', 'Ok(total)'],
      ['let x = old_name(1)', 'let x = new_name(1)'],
    ],
  )
})
