// What a session changed in its files: by its own word, by that of its turns, or out of the edits that were made.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { Changes } from '../../viewer/load/changes.js'
import { lineCounts } from '../../viewer/load/rows.js'
import { Turns } from '../../viewer/load/turns.js'
import { answer, prompt, text, tool } from '../lib/items.mjs'
import { keyOf, sessionOf } from '../lib/session.mjs'
import { processorTime } from '../lib/cost.mjs'

const patch = (file, from, to) => `--- a/${file}\n+++ b/${file}\n@@ -1 +1 @@\n-${from}\n+${to}\n`

/** Its changes as `kind +added -removed`, by their files. */
const counts = (items) =>
  Object.fromEntries(
    read(items).files.map(({ file, kind, counts, patch, isNet }) => {
      if (isNet) assert.deepEqual(lineCounts(patch), counts, file)
      return [file, `${kind} +${counts.added} -${counts.removed}${isNet ? '' : ' in all'}`]
    }),
  )

function read(items) {
  const session = sessionOf(items)
  const turns = new Turns(session)
  turns.update()
  return new Changes(session, turns).read()
}

test('the recorded session made two files, though its own list of them is empty', async () => {
  const lines = await readFile(new URL('../fixtures/opencode-session.jsonl', import.meta.url), 'utf8')
  const items = lines
    .trim()
    .split('\n')
    .flatMap((line) => JSON.parse(line).body.data ?? [])
  assert.deepEqual(counts(items), { 'greeter.py': 'added +2 -0', 'README.md': 'added +3 -0' })
})

test('without any word of its own, edits, patches and written files are gathered, one entry a file', () => {
  const edits = [
    tool('edit', { filePath: 'a.rs' }, { metadata: { diff: patch('a.rs', '1', '2') } }),
    tool('edit', { filePath: 'a.rs' }, { metadata: { filediff: { patch: patch('a.rs', '2', '3') } } }),
    tool('write', { filePath: 'NEW.md', content: 'one\ntwo\n' }),
    tool(
      'apply_patch',
      {},
      {
        metadata: {
          files: [
            { relativePath: 'b.rs', patch: patch('b.rs', 'x', 'y') },
            { filePath: 'c.rs', diff: patch('c.rs', 'x', 'y') },
          ],
        },
      },
    ),
    tool('edit', { filePath: 'failed.rs' }, { status: 'error', metadata: { diff: patch('failed.rs', 'x', 'y') } }),
    tool('read', { filePath: 'read.rs' }),
  ]
  assert.deepEqual(counts([...prompt('x'), ...answer(edits)]), {
    'a.rs': 'modified +1 -1',
    'NEW.md': 'added +2 -0',
    'b.rs': 'modified +1 -1',
    'c.rs': 'modified +1 -1',
  })
})

test('the edits of other agents are gathered too, but for those that failed', () => {
  const patch = '*** Begin Patch\n*** Update File: c.rs\n-x\n+y\n*** Delete File: d.rs\n*** End Patch'
  const edits = [
    tool('Edit', { file_path: 'a.rs', old_string: 'one\ntwo', new_string: 'one\n2\n3' }),
    tool('edit_file', { path: 'a.rs', old_str: '', new_str: 'created' }),
    tool('write_file', { file_path: 'b.rs', content: 'one\n' }),
    tool('shell', { command: ['bash', '-lc', `apply_patch <<'EOF'\n${patch}\nEOF`] }),
    tool('apply_patch', patch.replace('c.rs', 'failed.rs'), { output: 'Exit code: 1\nOutput:\nno' }),
    tool('replace', { file_path: 'failed.rs', old_string: 'x', new_string: 'y' }, { status: 'error' }),
    tool('run_shell_command', { command: 'cat a.rs' }),
  ]
  assert.deepEqual(counts([...prompt('x'), ...answer(edits)]), {
    'a.rs': 'modified +3 -1 in all',
    'b.rs': 'added +1 -0',
    'c.rs': 'modified +1 -1',
    'd.rs': 'deleted +0 -0',
  })
})

test('the list of the session comes first, with patches or with two texts', () => {
  const own = {
    type: 'session_diff',
    data: [
      { file: 'x', before: 'a\nb\n', after: 'a\nc\n' },
      { file: 'y', patch: patch('y', '1', '2') },
      { file: 'empty' },
    ],
  }
  assert.deepEqual(counts([own, ...prompt('x'), ...answer([tool('write', { filePath: 'z', content: 'z' })])]), {
    x: 'modified +1 -1',
    y: 'modified +1 -1',
  })
})

test('texts of which all differs are compared in a short time', () => {
  const lines = (word) => Array.from({ length: 8000 }, (_, at) => `${word} ${at}`).join('\n')
  const own = { type: 'session_diff', data: [{ file: 'x', before: lines('before'), after: lines('after') }] }
  const ms = processorTime(() => assert.deepEqual(counts([own]), { x: 'modified +8000 -8000' }))
  assert.ok(ms < 3000, `${ms} ms`)
})

test('odd values change nothing', () => {
  for (const odd of [null, 5, 'text', [], [null], {}, true]) {
    const [message, ...parts] = prompt('x')
    message.data.summary = { diffs: odd }
    const items = [
      message,
      ...parts,
      ...answer([
        { type: 'tool', tool: 'edit', state: { status: 'completed', input: odd, metadata: odd } },
        tool('write', odd, { metadata: { files: odd } }),
      ]),
    ]
    assert.deepEqual(counts(items), {})
  }
})

test('a file that the session made is what it became, under its name from the project on', () => {
  const edits = [
    tool('write', { filePath: '/p/new.txt', content: 'one\ntwo\n' }, { metadata: { exists: false } }),
    tool('edit_file', { path: '/p/new.txt', old_str: 'two', new_str: '2\n3' }),
    tool('bash', { command: 'touch other' }),
  ]
  const items = [{ type: 'session', data: { directory: '/p/' } }, ...prompt('x'), ...answer(edits)]
  assert.deepEqual(counts(items), { 'new.txt': 'added +3 -0' })
  const { files, isWhole } = read(items)
  assert.equal(files[0].patch, '--- new.txt\n+++ new.txt\n@@ -0,0 +1,3 @@\n+one\n+2\n+3\n')
  assert.ok(!isWhole, 'a command may have changed more')
  assert.deepEqual(
    files[0].turns.map(({ number }) => number),
    [1],
  )
})

test('a file that was changed and changed back is not listed', () => {
  const steps = [patch('a.rs', '1', '2'), patch('a.rs', '2', '1')]
  const edits = steps.map((diff) => tool('edit', { filePath: 'a.rs' }, { metadata: { diff } }))
  assert.deepEqual(counts([...prompt('x'), ...answer(edits)]), {})
})

test('changes are the same object until a file is another', () => {
  const session = sessionOf([])
  const turns = new Turns(session)
  const changes = new Changes(session, turns)
  let seq = 0
  const take = (...items) => {
    const keyed = items.map((item) => ({ key: keyOf(item), ...item }))
    session.apply({ type: 'items', epoch: 'e', seq: (seq += 1), removed: [], more: false, items: keyed })
    turns.update(items.map(({ data }) => data.messageID ?? data.id))
    return changes.read()
  }
  const edit = (file, to) => tool('edit', { filePath: file }, { metadata: { diff: patch(file, '1', to) } })
  const first = take(...prompt('Go on'), ...answer([edit('a', '2')]))
  const more = answer([text('Some words')])
  assert.equal(take(...more), first, 'words change no file')
  more[1].data = { ...more[1].data, text: 'Some words, and more' }
  assert.equal(take(more[1]), first)
  const second = take(...answer([edit('b', '3')]))
  assert.notEqual(second, first)
  assert.deepEqual([first.files.length, second.files.length, second.files[0] === first.files[0]], [1, 2, false])
  assert.equal(second.files[0].patch, first.files[0].patch)
})
