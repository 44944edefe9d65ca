// Patches of one file, one after the other, come to one.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { netPatch } from '../../viewer/load/net.js'
import { filesOf } from '../../viewer/load/rows.js'
import { structuredPatch } from '../../viewer/vendor/diff.min.js'

const patchFrom = (before, after, context) => {
  const { hunks } = structuredPatch('f', 'f', before, after, '', '', { context })
  const heads = hunks.map(
    ({ oldStart, oldLines, newStart, newLines, lines }) =>
      `@@ -${oldStart - !oldLines},${oldLines} +${newStart - !newLines},${newLines} @@\n${lines.join('\n')}\n`,
  )
  return `--- f\n+++ f\n${heads.join('')}`
}

/** A text with a patch applied, by its numbers. */
function applied(patch, before) {
  const lines = before.split('\n').slice(0, -1)
  const result = []
  let at = 0
  for (const { rows } of filesOf(patch)) {
    for (const { kind, old, new: newer } of rows) {
      if (kind === 'gap') continue
      if (old) {
        while (at < old.number - 1) result.push(lines[at++])
        assert.equal(lines[at], old.text)
        at += 1
      } else while (result.length < newer.number - 1) result.push(lines[at++])
      if (newer) result.push(newer.text)
    }
  }
  return [...result, ...lines.slice(at), ''].join('\n')
}

test('a line that was changed twice is changed once', () => {
  const one = patchFrom('a\nb\nc\n', 'a\nB\nc\n', 3)
  const two = patchFrom('a\nB\nc\n', 'a\nBB\nc\n', 3)
  const { patch, counts } = netPatch('f', [one, two])
  assert.deepEqual(counts, { added: 1, removed: 1 })
  assert.equal(patch, '--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+BB\n c\n')
})

test('what was changed back is no change, and what was made and grew is new', () => {
  const there = patchFrom('a\nx\n', 'b\nx\n', 3)
  const back = patchFrom('b\nx\n', 'a\nx\n', 3)
  assert.deepEqual(netPatch('f', [there, back]).counts, { added: 0, removed: 0 })
  const made = netPatch('f', [patchFrom('', 'one\n', 3), patchFrom('one\n', 'one\ntwo\n', 3)])
  assert.equal(made.patch, '--- f\n+++ f\n@@ -0,0 +1,2 @@\n+one\n+two\n')
})

test('patches that do not fit, or have no numbers, come to nothing that is known', () => {
  const one = patchFrom('a\nb\n', 'a\nc\n', 3)
  for (const odd of ['', 'words', '@@ -?,1 +?,1 @@\n-c\n+d\n', '@@ -2,1 +2,1 @@\n-x\n+y\n'])
    assert.equal(netPatch('f', [one, odd]), undefined, odd)
})

test('whatever is done to a file, the net patch leads from its beginning to its end', () => {
  let seed = 7
  const random = (below) => ((seed = (seed * 48271) % 2147483647), seed % below)
  for (let round = 0; round < 300; round++) {
    const first = Array.from({ length: random(30) }, (_, at) => `line ${at % 7}`)
    const text = (lines) => lines.map((line) => `${line}\n`).join('')
    let lines = [...first]
    const patches = []
    for (let step = 0; step < 1 + random(5); step++) {
      const before = text(lines)
      for (let edit = 0; edit < 1 + random(4); edit++)
        lines.splice(
          random(lines.length + 1),
          random(4),
          ...Array.from({ length: random(4) }, () => `new ${random(9)}`),
        )
      if (text(lines) === before) continue
      patches.push(patchFrom(before, text(lines), random(2) ? 3 : 1))
    }
    if (!patches.length) continue
    const net = netPatch('f', patches)
    assert.ok(net, `round ${round}`)
    assert.equal(applied(net.patch, text(first)), text(lines), `round ${round}`)
  }
})
