// An unchanged OpenCode shares a session in the middle of it, goes on, and unshares.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Viewer } from '../lib/viewer.mjs'
import { startServer } from '../lib/workerd.mjs'
import { startModel } from './model.mjs'
import { OpenCode } from './opencode.mjs'

const IMAGE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

// What the model does when it is asked for each of these, a list of tool calls a step.
const SCRIPTS = {
  first: [
    [['write', { filePath: 'greeter.py', content: 'def greet(name):\n    return "hi"\n' }]],
    [
      ['read', { filePath: 'greeter.py' }],
      ['bash', { command: 'echo one; echo two >&2; exit 3', description: 'Says one and two' }],
    ],
    [['edit', { filePath: 'greeter.py', oldString: '"hi"', newString: 'f"hi {name}"' }]],
  ],
  second: [
    [
      ['grep', { pattern: 'greet' }],
      ['glob', { pattern: '*.py' }],
    ],
    [['todowrite', { todos: [{ content: 'Check', status: 'in_progress', priority: 'high' }] }]],
    [['task', { description: 'Look', prompt: 'third', subagent_type: 'general' }]],
    [['webfetch', { url: 'http://127.0.0.1:9/none', format: 'text' }]],
  ],
}

let model
let server
/** What the model waits for before it says its last words on the second prompt. */
let lastWord

before(async () => {
  model = await startModel(
    (prompt) => Object.entries(SCRIPTS).find(([name]) => prompt.includes(name))?.[1] ?? [],
    async (prompt) => prompt.includes('second') && lastWord,
  )
  server = await startServer()
})

after(async () => {
  model?.close()
  await server?.close()
})

/** OpenCode's own parts, and the server's, by id. */
const partsOf = (messages) => new Map(messages.flatMap(({ parts }) => parts).map((part) => [part.id, part]))
/** A message as the server keeps it. */
const stripped = (info) => {
  if (info.role !== 'user') return info
  const { system, ...kept } = info
  return kept
}
/** The messages and parts that a viewer should hold, by key, and those that it holds. */
const expectedItems = (messages) =>
  Object.fromEntries(
    messages.flatMap(({ info, parts }) => [
      [`message/${info.id}`, stripped(info)],
      ...parts.map((part) => [`part/${part.messageID}/${part.id}`, part]),
    ]),
  )
const messageItems = (items) => Object.fromEntries([...items].filter(([key]) => /^(message|part)\//.test(key)))
const sharedParts = (data) => new Map(data.filter(({ type }) => type === 'part').map(({ data }) => [data.id, data]))

test('a session is shared in the middle, followed live, imported elsewhere, and unshared', async (t) => {
  const opencode = await OpenCode.create({ modelUrl: model.url, shareUrl: server.url })
  t.after(() => opencode.close())
  await opencode.serve()
  const session = await opencode.request('POST', '/session', {})
  await opencode.prompt(
    session.id,
    { type: 'text', text: 'Please do the first thing' },
    { type: 'file', mime: 'image/png', filename: 'dot.png', url: `data:image/png;base64,${IMAGE}` },
  )

  const { share } = await opencode.request('POST', `/session/${session.id}/share`)
  const id = share.url.split('/').at(-1)
  assert.equal(share.url, `${server.url}/s/${id}`)
  const viewer = await Viewer.connect(server.url, id)
  const sharedSoFar = partsOf(await opencode.request('GET', `/session/${session.id}/message`))
  await viewer.until('the session so far', ({ items }) =>
    [...sharedSoFar.values()].every((part) => items.has(`part/${part.messageID}/${part.id}`)),
  )

  // Live: the model ends its turn only when the viewer has seen what the turn's last tool gave.
  lastWord = viewer.until('a tool call while the turn goes on', ({ items }) =>
    [...items.values()].some(({ tool, state }) => tool === 'webfetch' && state.status === 'error'),
  )
  await opencode.prompt(session.id, { type: 'text', text: 'And now the second one' })
  await lastWord
  // OpenCode ends the last message and sums the user's up a little after it has answered, and sends a second later: so
  // its own side is asked again each time that the viewer has got something.
  let messages
  await viewer.until('all that OpenCode has', async ({ items }) => {
    messages = await opencode.request('GET', `/session/${session.id}/message`)
    return messages.at(-1).info.time.completed && same(messageItems(items), expectedItems(messages))
  })
  const own = partsOf(messages)

  await t.test('the server has every part and message as OpenCode has it', async () => {
    const data = (await server.request('GET', `/api/share/${id}/data`)).json
    const shared = sharedParts(data)
    assert.deepEqual([...shared.keys()].sort(), [...own.keys()].sort())
    for (const [id, part] of own) assert.deepEqual(shared.get(id), part)
    const tools = new Set([...own.values()].filter(({ type }) => type === 'tool').map(({ tool }) => tool))
    assert.deepEqual([...tools].sort(), [
      'bash',
      'edit',
      'glob',
      'grep',
      'read',
      'task',
      'todowrite',
      'webfetch',
      'write',
    ])
    assert.ok([...shared.values()].some(({ type, url }) => type === 'file' && url.includes(IMAGE)))
    const sharedMessages = data.filter(({ type }) => type === 'message').map(({ data }) => data)
    assert.deepEqual(
      sharedMessages,
      messages.map(({ info }) => stripped(info)),
    )
  })

  await t.test('another OpenCode imports it and has the same parts', async () => {
    const other = await OpenCode.create({ modelUrl: model.url, shareUrl: server.url })
    t.after(() => other.close())
    await other.run('import', `${server.url}/share/${id}`)
    const exported = JSON.parse(await other.run('export', session.id))
    const parts = partsOf(exported.messages)
    assert.deepEqual([...parts.keys()].sort(), [...own.keys()].sort())
    for (const [id, part] of own) assert.deepEqual(parts.get(id), part)
  })

  await t.test('after unshare nothing is left and the viewer is told', async () => {
    await opencode.request('DELETE', `/session/${session.id}/share`)
    await viewer.until('the close', ({ closeCode }) => closeCode !== undefined)
    assert.equal(viewer.closed, 'deleted')
    assert.equal(viewer.closeCode, 4410)
    assert.equal((await server.request('GET', `/api/share/${id}/data`)).status, 404)
  })
})

test('an enterprise.url with a slash at its end works too', async (t) => {
  const opencode = await OpenCode.create({ modelUrl: model.url, shareUrl: `${server.url}/` })
  t.after(() => opencode.close())
  await opencode.serve()
  const session = await opencode.request('POST', '/session', {})
  const { share } = await opencode.request('POST', `/session/${session.id}/share`)
  const viewer = await Viewer.connect(server.url, share.url.split('/').at(-1))
  t.after(() => viewer.close())
  await viewer.until('the session', ({ items }) => items.has('session'))
  assert.equal(viewer.items.get('session').id, session.id)
})

function same(one, other) {
  try {
    assert.deepEqual(one, other)
    return true
  } catch {
    return false
  }
}
