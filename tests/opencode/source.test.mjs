// A real OpenCode that knows nothing of us: the relay lists its sessions, shares one in the middle of a turn, and
// follows it, out of its database and, word by word, from its server.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { Relay } from '../lib/relay.mjs'
import { Server } from '../lib/server.mjs'
import { Viewer } from '../lib/viewer.mjs'
import { ANSWER, startModel } from './model.mjs'
import { OpenCode } from './opencode.mjs'

const SCRIPTS = {
  first: [
    [['write', { filePath: 'greeter.py', content: 'print("hi")\n' }]],
    [['bash', { command: 'echo one; exit 3', description: 'Says one' }]],
  ],
  second: [[['task', { description: 'Look', prompt: 'third', subagent_type: 'general' }]]],
  third: [[['bash', { command: 'echo of the subagent', description: 'Works' }]]],
}

let model
let server
let opencode
let session
/** What the model waits for before its last words, and in the middle of them, by what it was asked. */
const waits = {}

before(async () => {
  const scriptOf = (prompt) => Object.entries(SCRIPTS).find(([name]) => prompt.includes(name))?.[1] ?? []
  const wait = (when) => async (prompt) => waits[`${when} ${prompt}`]?.()
  model = await startModel(scriptOf, wait('before'), wait('within'))
  server = await Server.start()
  opencode = await OpenCode.create({ modelUrl: model.url })
  await opencode.serve()
  session = (await opencode.request('POST', '/session', {})).id
})

after(async () => {
  await opencode?.close()
  model?.close()
  await server?.close()
})

const ask = (text) => opencode.prompt(session, { type: 'text', text })
const parts = ({ items }, type) => [...items.values()].filter((item) => item.type === type)

/** The messages and parts that a share should have, by key: the session's, and those of its subagents. */
async function expected() {
  const sessions = [{ id: session }, ...(await opencode.request('GET', `/session/${session}/children`))]
  const all = await Promise.all(sessions.map(({ id }) => opencode.request('GET', `/session/${id}/message`)))
  const entries = all
    .flat()
    .flatMap(({ info: { system, ...info }, parts }) => [
      [`message/${info.id}`, info],
      ...parts.map(({ metadata, ...part }) => [`part/${part.messageID}/${part.id}`, part]),
    ])
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Waits until a share has all that OpenCode has. */
const untilAll = (viewer) =>
  viewer.until('all that OpenCode has', async ({ items }) => {
    const held = [...items].filter(([key]) => /^(message|part)\//.test(key)).sort(([a], [b]) => (a < b ? -1 : 1))
    try {
      assert.deepEqual(Object.fromEntries(held), await expected())
      return true
    } catch {
      return false
    }
  })

/** A relay of the user whose OpenCode it is. */
async function startRelay(t, ...args) {
  const relay = await Relay.start(server.url, ...args)
  t.after(() => relay.close())
  const data = join(relay.dir, '.local/share')
  await mkdir(data, { recursive: true })
  await symlink(join(opencode.env.XDG_DATA_HOME, 'opencode'), join(data, 'opencode'))
  return relay
}

async function share(relay) {
  const shared = await relay.request('POST', `/v1/sessions/${session}/share`, {})
  assert.equal(shared.status, 200, JSON.stringify(shared.json))
  return { id: shared.json.id, viewer: await Viewer.connect(server.url, shared.json.id) }
}

test('a session is shared in the middle of a turn and followed out of the database, over a kill', async (t) => {
  // Nothing listens at this port.
  const relay = await startRelay(t, '--opencode-url', 'http://127.0.0.1:9')
  await ask('first')
  const listed = (await relay.request('GET', '/v1/sessions')).json
  assert.equal(listed.length, 1)
  assert.equal(listed[0].sessionID, session)
  assert.equal(listed[0].agent, 'OpenCode')
  assert.equal(listed[0].title, 'Scripted session')
  assert.equal(listed[0].directory, opencode.project)

  // In the middle of a turn: the model ends it when the viewer has seen what the subagent's tool gave.
  let id
  let viewer
  waits['before second'] = async () => {
    ;({ id, viewer } = await share(relay))
    await viewer.until('the work of the subagent', (viewer) =>
      parts(viewer, 'tool').some(({ state }) => state.output?.includes('of the subagent')),
    )
  }
  await ask('second')
  t.after(() => viewer.close())
  await untilAll(viewer)
  const [task] = parts(viewer, 'tool').filter(({ tool }) => tool === 'task')
  const subagent = task.state.metadata.sessionId
  assert.ok(parts(viewer, 'tool').some(({ sessionID, tool }) => sessionID === subagent && tool === 'bash'))
  assert.equal(viewer.items.get('session').id, session)
  assert.deepEqual(viewer.items.get('agent'), { name: 'OpenCode', version: viewer.items.get('session').version })
  assert.deepEqual(
    ['permission', 'metadata', 'share'].filter((field) => field in viewer.items.get('session')),
    [],
  )

  await relay.process.stop('SIGKILL')
  const before = viewer.seq
  const keys = new Set(viewer.items.keys())
  await ask('while nobody looks')
  await relay.restart()
  await untilAll(viewer)
  await ask('later')
  const written = performance.now()
  await untilAll(viewer)
  const took = performance.now() - written
  assert.ok(took < 2000, `${took} ms`)
  t.diagnostic(`a turn was there ${Math.round(took)} ms after it was written`)

  // What was there before the kill was read again, and nothing of it changed.
  const { items } = (await server.request('GET', `/api/share/${id}/items?after=${before}&epoch=${viewer.epoch}`)).json
  const again = items.map(({ key }) => key).filter((key) => keys.has(key) && /^(message|part)\//.test(key))
  assert.deepEqual(again, [])

  // Nothing was made beside the database, and it is whole.
  const dir = join(opencode.env.XDG_DATA_HOME, 'opencode')
  const files = readdirSync(dir).filter((name) => name.startsWith('opencode.db'))
  assert.deepEqual(files.sort(), ['opencode.db', 'opencode.db-shm', 'opencode.db-wal'])
  const check = execFileSync('sqlite3', ['-readonly', join(dir, 'opencode.db'), 'PRAGMA quick_check'])
  assert.equal(String(check), 'ok\n')
  assert.equal((await relay.request('DELETE', `/v1/sessions/${session}/share`)).status, 200)
})

test('beside its server a session is shared word by word, and nothing is told twice', async (t) => {
  const relay = await startRelay(t, '--opencode-url', opencode.url, '--log', 'debug')
  const { id, viewer } = await share(relay)
  t.after(() => viewer.close())
  await untilAll(viewer)
  await listening(relay)

  waits['within word by word'] = () =>
    viewer.until('half of the answer', (viewer) =>
      parts(viewer, 'text').some(
        ({ text, time }) => text && ANSWER.startsWith(text) && text.length < ANSWER.length && !time?.end,
      ),
    )
  await ask('word by word')
  await untilAll(viewer)

  // The server goes: the database goes on. What both told is one.
  const before = viewer.seq
  const keys = new Set(viewer.items.keys())
  await opencode.process.stop('SIGKILL')
  await opencode.serve()
  await ask('after its server')
  await untilAll(viewer)
  const { items } = (await server.request('GET', `/api/share/${id}/items?after=${before}&epoch=${viewer.epoch}`)).json
  const again = items.map(({ key }) => key).filter((key) => keys.has(key) && /^(message|part)\//.test(key))
  assert.deepEqual(again, [])
})

/** Waits until a relay listens to OpenCode's server. */
async function listening({ process }) {
  while (!process.log.includes('listening to OpenCode')) await once(process.child.stderr, 'data')
}
