// Files stand in a tree of their folders.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { leavesOf, treeOf } from '../../viewer/load/tree.js'

const shape = (entries) =>
  entries.map(({ name, entries, entry }) => (entries ? [name, shape(entries)] : `${name} = ${entry.file}`))

test('its files have the order in which it is read', () => {
  const files = ['z.md', 'a/c.rs', 'a/b/d.rs', 'a/a.rs'].map((file) => ({ file }))
  const read = leavesOf(treeOf(files)).map(({ file }) => file)
  assert.deepEqual(read, ['a/b/d.rs', 'a/a.rs', 'a/c.rs', 'z.md'])
})

test('folders come first, and those with one folder alone are joined', () => {
  const files = ['README.md', 'crates/import/src/b.rs', 'crates/import/src/a.rs', 'docs/x.md', 'docs/more/y.md']
  assert.deepEqual(shape(treeOf(files.map((file) => ({ file })))), [
    ['crates/import/src', ['a.rs = crates/import/src/a.rs', 'b.rs = crates/import/src/b.rs']],
    ['docs', [['more', ['y.md = docs/more/y.md']], 'x.md = docs/x.md']],
    'README.md = README.md',
  ])
  assert.deepEqual(shape(treeOf([{ file: '' }, { file: '/abs' }])), [' = ', 'abs = /abs'])
})
