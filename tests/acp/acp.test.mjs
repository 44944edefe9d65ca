// `brutus-share acp` between the official library's client and agent, and viewers of what they say.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'

import { methods } from '@agentclientprotocol/sdk'

import { run } from '../lib/process.mjs'
import { Relay, setUp } from '../lib/relay.mjs'
import { BINARY } from '../lib/server.mjs'
import { Viewer } from '../lib/viewer.mjs'
import { AGENT, Client, proxied } from './client.mjs'

const { server, relay } = await setUp()

const NO_RELAY = { url: 'http://127.0.0.1:1', localDir: relay.localDir }

let number = 0

/** A client with a session of its own; it goes when the test is over. */
async function start(t, { to = relay, cwd = '/p', mcpServers, agent = AGENT } = {}) {
  number += 1
  const client = await Client.start(to, agent, { env: { ...process.env, SESSION: `s${process.pid}-${number}` } })
  t.after(() => client.close())
  return { client, session: await client.begin(cwd, mcpServers) }
}

async function watch(t, url) {
  const viewer = await Viewer.connect(server.url, url.split('/').at(-1))
  t.after(() => viewer.close())
  return viewer
}

const parts = (viewer) => [...viewer.items].filter(([key]) => key.startsWith('part/')).sort()
const texts = (viewer) => parts(viewer).flatMap(([, part]) => (part.type === 'text' ? [part.text] : []))
const calls = (viewer) => parts(viewer).flatMap(([, part]) => (part.type === 'tool' ? [part] : []))
const state = (viewer) => viewer.items.get('status')?.state

/** Bytes that are no protocol at all: no JSON, no UTF-8, a line that never ends. */
function odd() {
  const huge = JSON.stringify({ jsonrpc: '2.0', method: 'x', params: 'y'.repeat(5 << 20) })
  const lines = ['{"jsonrpc":"2.0","method":"_a/b","id":1.0}', '[]', '{', '', '\r', ' \t', '{"id":null}', huge]
  return Buffer.concat([Buffer.from(lines.join('\n')), randomBytes(1 << 20), Buffer.from('\nno end of line')])
}

test('every byte passes as it is, in both directions, and the agent ends with its input', async () => {
  for (const to of [relay, NO_RELAY]) {
    const bytes = odd()
    const child = spawn(...proxied(to, ['cat']), { stdio: ['pipe', 'pipe', 'inherit'] })
    const ended = once(child, 'exit')
    child.stdin.end(bytes)
    const passed = Buffer.concat(await child.stdout.toArray())
    const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')
    assert.equal(passed.length, bytes.length)
    assert.equal(hash(passed), hash(bytes))
    assert.deepEqual(await ended, [0, null])
  }
})

test('words, codes and signals of the agent are passed on', async () => {
  const through = async (script) => run(...proxied(NO_RELAY, ['sh', '-c', script]))
  assert.deepEqual(await through('echo out; echo err >&2; exit 7'), { code: 7, stdout: 'out\n', stderr: 'err\n' })
  assert.equal((await through('kill -TERM $$')).code, 143)
  // What an agent has started may hold its output open: that keeps nobody.
  const { code, stdout } = await through('sleep 60 2>&- & echo last; exit 3')
  assert.deepEqual({ code, stdout }, { code: 3, stdout: 'last\n' })
  const child = spawn(...proxied(NO_RELAY, ['sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done']))
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [9, null])
  const missing = await run(...proxied(NO_RELAY, ['/no/such/agent']))
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /\/no\/such\/agent cannot be started/)
})

test('a viewer sees words as they are written, before the turn ends', async (t) => {
  const env = [{ name: 'KEY', value: 'SECRET-OF-A-SERVER' }]
  const mcpServers = [{ name: 'db', command: '/bin/true', args: [], env }]
  const { client, session } = await start(t, { mcpServers })
  const { url, stopReason } = await client.share(session)
  assert.equal(stopReason, 'end_turn')
  const viewer = await watch(t, url)
  const turn = client.prompt(session, 'stream it')
  await viewer.until('the first half', () => texts(viewer).includes('The first ') && state(viewer) === 'busy')
  assert.ok(!texts(viewer).join().includes('second'))
  await client.go()
  assert.equal((await turn).stopReason, 'end_turn')
  await viewer.until('the whole', () => texts(viewer).at(-1) === 'The first and the second half.')
  await viewer.until('the end', () => state(viewer) === 'idle')
  const reasoning = parts(viewer).flatMap(([, part]) => (part.type === 'reasoning' ? [part.text] : []))
  assert.deepEqual(reasoning, ['I think aloud.'])
  assert.deepEqual(texts(viewer), ['stream it', 'The first and the second half.'])
  const { title, directory, id } = viewer.items.get('session')
  assert.deepEqual({ title, directory, id }, { title: 'stream it', directory: '/p', id: `acp_${session}` })
  assert.ok(!JSON.stringify([...viewer.items]).includes('SECRET'))
})

test('tools, diffs, plans and permissions are shown as what they are', async (t) => {
  const { client, session } = await start(t)
  const { url } = await client.share(session)
  const viewer = await watch(t, url)
  const turn = client.prompt(session, 'tools')
  await client.until('a question', () => client.permissions === 1)
  await viewer.until('that the agent waits', () => state(viewer) === 'waiting')
  client.allow()
  await turn
  await viewer.until('the end', () => state(viewer) === 'idle' && calls(viewer).length === 3)
  const [read, plan, edit] = calls(viewer)
  assert.deepEqual([read.tool, read.state.input.filePath, read.state.output], ['read', '/p/notes.txt', 'what it says'])
  assert.deepEqual([plan.tool, plan.state.metadata.todos[0].content], ['todowrite', 'Change the notes'])
  assert.deepEqual([edit.tool, edit.state.status], ['edit', 'completed'])
  assert.match(edit.state.metadata.files[0].patch, /-old line\n\+new line/)
  assert.ok(texts(viewer).includes('You chose yes.'))
  assert.match(await (await fetch(`${url}.md`)).text(), /new line/)
})

test('a cancelled turn and one that fails say so', async (t) => {
  const { client, session } = await start(t)
  const viewer = await watch(t, (await client.share(session)).url)
  const turn = client.prompt(session, 'run')
  await viewer.until('a call', () => calls(viewer)[0]?.state.status === 'running')
  await client.agent.notify(methods.agent.session.cancel, { sessionId: session })
  assert.equal((await turn).stopReason, 'cancelled')
  await viewer.until('its end', () => calls(viewer)[0].state.status === 'error')
  const errors = () => [...viewer.items.values()].flatMap(({ error }) => error ?? [])
  await viewer.until('why', () => errors()[0]?.name === 'MessageAbortedError')
  await assert.rejects(client.prompt(session, 'fail'))
  await viewer.until('another error', () => errors().length === 2)
})

test('the commands stand beside the agent’s own, and the agent never sees them', async (t) => {
  const names = (client) =>
    client.updates
      .filter(({ update }) => update.sessionUpdate === 'available_commands_update')
      .map(({ update }) => update.availableCommands.map(({ name }) => name))
  const silent = await start(t)
  await silent.client.until('commands', () => names(silent.client).length)
  assert.deepEqual(names(silent.client), [['share', 'unshare']])
  const other = await start(t, { cwd: '/with-commands' })
  await other.client.until('commands', () => names(other.client).length)
  assert.deepEqual(names(other.client), [['web', 'share', 'unshare']])
  const { url } = await other.client.share(other.session)
  assert.equal((await other.client.share(other.session)).url, url, 'the same link again')
  const viewer = await watch(t, url)
  await other.client.prompt(other.session, 'plain /share words')
  await viewer.until('an answer', () => texts(viewer).includes('You said: plain /share words'))
  assert.equal(texts(viewer).length, 2, 'what was asked of us is no part of the session')
  await other.client.prompt(other.session, '/unshare')
  assert.equal(other.client.updates.at(-1).update.content.text, 'This session is no longer shared.')
  await viewer.until('its end', () => viewer.closed === 'deleted')
})

test('without a relay all passes, and `/share` says why it cannot', async (t) => {
  const { client, session } = await start(t, { to: NO_RELAY })
  await client.prompt(session, 'hello')
  assert.equal(client.updates.findLast(({ update }) => update.content)?.update.content.text, 'You said: hello')
  const { text, stopReason } = await client.share(session)
  assert.match(text, /no relay answers/)
  assert.equal(stopReason, 'end_turn')
})

test('a session can be shared from a terminal, in the middle of a turn, with all that was said', async (t) => {
  const { client, session } = await start(t, { cwd: '/p/terminal' })
  await client.prompt(session, 'hello')
  const turn = client.prompt(session, 'stream more')
  const options = ['--relay', relay.url, '--local-dir', relay.localDir]
  let known
  while (known?.state !== 'busy') {
    const { json } = await relay.request('GET', '/v1/sessions')
    known = json.find(({ sessionID }) => sessionID === `acp_${session}`)
  }
  assert.deepEqual([known.directory, known.agent, known.title], ['/p/terminal', 'Scripted agent', 'hello'])
  const { stdout, stderr, code } = await run(BINARY, ['share', `acp_${session}`, ...options])
  assert.equal(code, 0, stderr)
  const viewer = await watch(t, stdout.trim())
  await client.go()
  await turn
  const all = ['hello', 'You said: hello', 'stream more', 'The first and the second half.']
  await viewer.until('all of it', () => texts(viewer).join('|') === all.join('|'))
})

test('a relay that is killed and comes back has it all, and nothing twice', async (t) => {
  const own = await Relay.start(server.url)
  t.after(() => own.close())
  const { client, session } = await start(t, { to: { localDir: own.localDir, url: own.url } })
  const viewer = await watch(t, (await client.share(session)).url)
  const turn = client.prompt(session, 'stream it')
  await viewer.until('the first half', () => texts(viewer).includes('The first '))
  await own.process.stop('SIGKILL')
  await client.go()
  await turn
  await client.prompt(session, 'and more')
  await own.restart()
  const all = ['stream it', 'The first and the second half.', 'and more', 'You said: and more']
  await viewer.until('all of it', () => texts(viewer).join('|') === all.join('|') && state(viewer) === 'idle')
})

test('a session that another life of the agent loads goes on behind the same link', async (t) => {
  const history = join(relay.dir, `history-${number}`)
  const agent = [...AGENT, history]
  const first = await start(t, { agent })
  const { url } = await first.client.share(first.session)
  await first.client.prompt(first.session, 'hello')
  await first.client.close()
  const viewer = await watch(t, url)
  await viewer.until('that nobody is there', () => state(viewer) === 'gone')
  const second = await Client.start(relay, agent)
  t.after(() => second.close())
  await second.agent.request(methods.agent.session.load, { sessionId: first.session, cwd: '/p', mcpServers: [] })
  await second.prompt(first.session, 'again')
  const all = ['hello', 'You said: hello', 'again', 'You said: again']
  await viewer.until('all of it', () => texts(viewer).join('|') === all.join('|'))
})
