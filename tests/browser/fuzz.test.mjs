// Items of the right keys and of any JSON: each field of real items is put by values of every type, one at a time, and
// every other part is shown, printed and taken along. `BRUTUS_SEEDS` says how many such items are tried.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { openShare, recordedBatches, session, setUp, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

const CASES = Number(process.env.BRUTUS_SEEDS ?? 320)
// So many odd items stand in one session.
const IN_ONE = 40

const VALUES = [
  null,
  true,
  0,
  -1.5,
  1e300,
  '',
  'odd',
  '\ud83d <b> \u001b[31m `x` $y$ [a](b)',
  [],
  [null],
  ['odd', { odd: 1 }],
  {},
  { odd: { odd: [1] } },
  { type: 'text', text: 'odd' },
]

// What a key is made of stays: another key is another item.
const OF_KEYS = new Set(['id', 'messageID', 'sessionID'])

/** The paths of the fields of a value, of those within others too. */
function paths(value, depth = 5) {
  if (typeof value !== 'object' || value === null || depth === 0) return []
  const names = Object.keys(value).filter((name) => !OF_KEYS.has(name))
  return names.flatMap((name) => [[name], ...paths(value[name], depth - 1).map((path) => [name, ...path])])
}

function put(value, [name, ...rest], odd) {
  const copy = structuredClone(value)
  copy[name] = rest.length ? put(copy[name], rest, odd) : odd
  return copy
}

const PATCH = '--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n'
const PIXEL = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'

/** Parts of all kinds, beside those that were recorded. */
const PARTS = [
  { type: 'reasoning', text: 'thought', time: { start: 1, end: 2 } },
  { type: 'file', mime: 'image/gif', filename: 'a.gif', url: PIXEL, source: { path: 'a.gif' } },
  { type: 'file', mime: 'text/plain', filename: 'a.txt', url: 'data:text/plain,hello' },
  { type: 'patch', hash: 'h', files: ['a', 'b'] },
  { type: 'agent', name: 'plan' },
  { type: 'retry', attempt: 1, error: { name: 'APIError', data: { message: 'busy', statusCode: 529 } } },
  { type: 'compaction', auto: true },
  { type: 'subtask', prompt: 'p', description: 'd' },
  tool('bash', { command: 'x' }, { output: '\x1b[31mred', metadata: { exit: 1, output: 'o', truncated: true } }),
  tool('edit', { filePath: 'x' }, { metadata: { diff: PATCH, filediff: { patch: PATCH, file: 'x' } } }),
  tool('apply_patch', { patchText: PATCH }, { metadata: { files: [{ patch: PATCH, file: 'x' }] } }),
  tool('write', { filePath: '/x.py', content: 'print(1)' }),
  tool(
    'todowrite',
    { todos: [{ content: 'A', status: 'pending' }] },
    { metadata: { todos: [{ content: 'A', status: 'x' }] } },
  ),
  tool('task', { description: 'd', prompt: 'p', subagent_type: 't' }, { output: 'done' }),
  tool('question', { questions: [{ question: 'Q?' }] }, { metadata: { answers: [['A']] } }),
  tool('webfetch', { url: 'https://example.org' }, { output: 'page' }),
  tool('grep', { pattern: 'x', include: '*.rs' }, { output: 'found' }),
  tool('mcp_thing', { depth: 1 }, { attachments: [{ type: 'file', mime: 'image/gif', filename: 'x', url: PIXEL }] }),
  tool('bash', { command: 'x' }, { status: 'error', error: 'it broke' }),
  tool('shell', { command: ['bash', '-lc', 'x'] }, { output: '{"output":"o","metadata":{"exit_code":1}}' }),
  tool('MultiEdit', { file_path: 'x', edits: [{ old_string: 'a', new_string: 'b' }] }),
  tool('edit_file', { path: 'x', old_str: 'a', new_str: 'b' }),
  tool('apply_patch', { input: '*** Begin Patch\n*** Add File: x\n+a\n*** End Patch' }),
  tool('update_plan', { plan: [{ step: 'A', status: 'done' }] }),
  tool('AskUserQuestion', { questions: [{ question: 'Q?', options: [{ label: 'a' }] }] }),
  tool('ExitPlanMode', { plan: '# Plan' }),
  tool('read_many_files', { paths: ['a', 'b'] }, { output: 'o' }),
  tool('mcp__fs__write_file', { path: 'x', content: 'c', mode: 7 }),
].map((data) => ({ type: 'part', data }))

const INFOS = [
  {
    type: 'message',
    data: {
      role: 'user',
      time: { created: 1 },
      agent: 'build',
      model: { providerID: 'p', modelID: 'm' },
      summary: { diffs: [{ file: 'x', patch: PATCH, additions: 1, deletions: 1 }] },
    },
  },
  {
    type: 'message',
    data: {
      role: 'assistant',
      time: { created: 1, completed: 2 },
      parentID: 'msg_x',
      modelID: 'm',
      providerID: 'p',
      cost: 1,
      tokens: { input: 1, output: 2, reasoning: 3, cache: { read: 4, write: 5 } },
      error: { name: 'UnknownError', data: { message: 'odd' } },
    },
  },
  {
    type: 'session',
    data: session({
      directory: '/p',
      cost: 1,
      revert: { messageID: 'none', partID: 'none' },
      summary: { additions: 1 },
    }).data,
  },
  { type: 'session_diff', data: [{ file: 'x', patch: PATCH, additions: 1, deletions: 1, before: 'a', after: 'b' }] },
  { type: 'model', data: [{ id: 'm', providerID: 'p', name: 'M', cost: { input: 1 }, limit: { context: 1 } }] },
]

let seed = 12345
const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below

/** An item in which one field is odd; what it was is said with it. */
function oddItem(items) {
  const { type, data } = items[random(items.length)]
  // A server takes models that are objects with their provider, and nothing else.
  const all = paths(data).filter((path) => type !== 'model' || (path.length > 1 && path.at(-1) !== 'providerID'))
  const path = all[random(all.length)]
  const odd = VALUES[random(VALUES.length)]
  return { type, data: put(data, path, odd), was: `${type} ${path.join('.')} = ${JSON.stringify(odd)}` }
}

/** A turn around an odd item: what was asked, and what stands before and behind it. */
function turnAround({ type, data }, at) {
  const time = { created: 1_795_000_000_000 + at * 1000 }
  const [asked, answered] = [`msg_${at}_1`, `msg_${at}_2`]
  const part = (messageID, id, data) => ({ type: 'part', data: { ...data, id: `prt_${at}_${id}`, messageID } })
  const words = (text) => ({ type: 'text', text })
  const isMessage = type === 'message'
  const info = (id, plain) => ({
    type: 'message',
    data: { ...plain, ...(isMessage && data.role === plain.role && data), id },
  })
  return [
    info(asked, { role: 'user', time }),
    part(asked, 0, words(`ASKED-${at}-`)),
    info(answered, { role: 'assistant', time: { created: time.created + 1 } }),
    part(answered, 1, words(`BEFORE-${at}-`)),
    ...(type === 'part' ? [part(answered, 2, data)] : []),
    ...(isMessage && data.role !== 'user' && data.role !== 'assistant'
      ? [{ type, data: { ...data, id: `msg_${at}_3` } }]
      : []),
    part(answered, 3, words(`AFTER-${at}-`)),
  ]
}

const recorded = (await recordedBatches()).flat().filter(({ type }) => type === 'part' || type === 'message')
const real = [...recorded, ...PARTS, ...INFOS]
const ofSession = (item) => item.type !== 'part' && item.type !== 'message'

test(`${CASES} items with an odd field: everything else is shown, printed and taken along`, async () => {
  for (let done = 0; done < CASES; done += IN_ONE) {
    const odd = Array.from({ length: Math.min(IN_ONE, CASES - done) }, () => oddItem(real))
    const said = `seed of ${done}: ${odd.map(({ was }) => was).join('\n')}`
    const share = await server.share()
    const whole = odd.filter(ofSession).map(({ type, data }) => ({ type, data }))
    await share.sync(session(), ...odd.flatMap(turnAround), ...whole)
    const page = await openShare(browser, share)
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')))
    await page.keyboard.press('c')
    await page.locator('.review').waitFor()
    await page.keyboard.press('Escape')
    const shown = await page.locator('main').textContent()
    await page.getByText('Share', { exact: true }).click()
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByText('HTML file, works offline').click(),
    ])
    const html = await readFile(await file.path(), 'utf8')
    for (const at of odd.keys()) {
      for (const word of [`ASKED-${at}-`, `BEFORE-${at}-`, `AFTER-${at}-`]) {
        assert.ok(shown.includes(word), `${word} (${odd[at].was}) is not shown; ${said}`)
        assert.ok(html.includes(word), `${word} (${odd[at].was}) is not taken along; ${said}`)
      }
    }
    assert.doesNotMatch(shown, /\[object Object\]/, said)
    assert.deepEqual(page.record.errors, [], said)
    await page.context().close()
  }
})
