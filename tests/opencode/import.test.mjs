// `brutus-share import LINK` into a real OpenCode: sessions of other agents, with their subagents, and its own.

import assert from 'node:assert/strict'
import { cp, mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { run } from '../lib/process.mjs'
import { Relay } from '../lib/relay.mjs'
import { BINARY, Server } from '../lib/server.mjs'
import { startModel } from './model.mjs'
import { BINARY as OPENCODE, OpenCode } from './opencode.mjs'

const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url))
const AGENTS = [
  ['Claude Code', 'cc_ced1e0b1-32f6-4b65-a494-1f46e5d5821b', 2],
  ['Codex', 'cx_01a210bf-2839-7cb2-bf0b-23119a62ebba', 0],
]
const TASK = [[['task', { description: 'Look', prompt: 'third', subagent_type: 'general' }]]]

let model
let server
let relay
/** Into which sessions are imported. */
let opencode

before(async () => {
  model = await startModel((prompt) => (prompt.includes('second') ? TASK : []))
  server = await Server.start()
  relay = await Relay.start(server.url, '--opencode-url', 'http://127.0.0.1:9')
  await cp(join(FIXTURES, 'transcripts/claude-2.1.331/.claude'), join(relay.dir, '.claude'), { recursive: true })
  await cp(join(FIXTURES, 'transcripts/codex-0.169.0'), join(relay.dir, '.codex'), { recursive: true })
  opencode = await OpenCode.create({ modelUrl: model.url })
  await opencode.serve()
})

after(async () => {
  await opencode?.close()
  await relay?.close()
  model?.close()
  await server?.close()
})

async function share(session, sealed) {
  const shared = await relay.request('POST', `/v1/sessions/${session}/share`, { sealed })
  assert.equal(shared.status, 200, JSON.stringify(shared.json))
  assert.equal(shared.json.url.includes('#k1='), sealed)
  const flushed = await relay.request('POST', `/v1/sessions/${session}/flush`, {})
  assert.equal(flushed.status, 200, JSON.stringify(flushed.json))
  return shared.json.url
}

/** Imports a link; gives the session's id, and what was said on standard error. */
async function imported(link) {
  const PATH = `${dirname(OPENCODE)}:${process.env.PATH}`
  const env = { ...opencode.env, PATH }
  const { code, stdout, stderr } = await run(BINARY, ['import', link], { cwd: opencode.project, env })
  assert.equal(code, 0, stderr)
  return { id: /Imported session: (\S+)/.exec(stdout)[1], stdout, stderr }
}

/** The items behind a link, as messages with their parts, by the session that they are of. */
async function read(link) {
  const { stdout } = await run(BINARY, ['read', '--json', link])
  const sessions = {}
  const messages = {}
  const items = JSON.parse(stdout)
  for (const { type, data } of items) {
    if (type === 'message') {
      messages[data.id] = { info: data, parts: [] }
      ;(sessions[data.sessionID] ??= []).push(messages[data.id])
    } else if (type === 'part') messages[data.messageID].parts.push(data)
  }
  return { session: items.find(({ type }) => type === 'session').data, sessions }
}

/** What is said in messages: all that is not an id, a time or a default. */
const said = (messages) =>
  messages.map(({ info, parts }) => [
    info.role,
    info.error?.data.message,
    parts.map(({ type, text, url, tool, callID, state }) => [
      type,
      text ?? url,
      tool && [tool, callID, state.status, state.input, state.output ?? state.error, state.attachments?.length],
    ]),
  ])

const messagesOf = (session) => opencode.request('GET', `/session/${session}/message`)

for (const [agent, session, subagents] of AGENTS) {
  for (const sealed of [false, true]) {
    test(`a session of ${agent}, ${sealed ? 'sealed' : 'plain'}, is imported as it was said`, async () => {
      const link = await share(session, sealed)
      const { session: shared, sessions } = await read(link)
      const { id, stdout, stderr } = await imported(link)
      assert.equal(stderr, '')
      assert.equal(Number(/of its subagents: (\d+)/.exec(stdout)?.[1] ?? 0), subagents)
      const info = await opencode.request('GET', `/session/${id}`)
      assert.equal(info.title, shared.title)
      const own = await messagesOf(id)
      assert.ok(own.length >= 2)
      assert.deepEqual(said(own), said(sessions[session]))

      // Each subagent's session is there, and the task that began it leads to it.
      const children = await opencode.request('GET', `/session/${id}/children`)
      const tasks = own.flatMap(({ parts }) => parts).flatMap(({ state }) => state?.metadata?.sessionId ?? [])
      assert.deepEqual(children.map(({ id }) => id).sort(), tasks.sort())
      assert.equal(children.length, subagents)
      const others = Object.keys(sessions).filter((other) => other !== session)
      const words = await Promise.all(children.map(async ({ id }) => said(await messagesOf(id))))
      const expected = others.map((other) => said(sessions[other]))
      assert.deepEqual(words.map(JSON.stringify).sort(), expected.map(JSON.stringify).sort())

      // Once more: nothing is there twice.
      const count = (await opencode.request('GET', '/session')).length
      assert.equal((await imported(link)).id, id)
      assert.deepEqual(await messagesOf(id), own)
      assert.equal((await opencode.request('GET', '/session')).length, count)
      const exported = JSON.parse(await opencode.run('export', id))
      assert.deepEqual(exported.messages, own)

      // OpenCode goes on with it: what was said goes to the model, and what comes stands behind it.
      await opencode.prompt(id, { type: 'text', text: 'go on' })
      const heard = JSON.stringify(model.heard.at(-1))
      const prompt = own.find(({ info }) => info.role === 'user').parts.find(({ text }) => text)
      assert.ok(heard.includes(JSON.stringify(prompt.text).slice(1, -1)), heard)
      const after = await messagesOf(id)
      assert.deepEqual(after.slice(0, own.length), own)
      assert.deepEqual(
        after.slice(own.length).map(({ info }) => info.role),
        ['user', 'assistant'],
      )
      const ids = after.map(({ info }) => info.id)
      assert.deepEqual(ids, [...ids].sort())
      assert.equal((await relay.request('DELETE', `/v1/sessions/${session}/share`)).status, 200)
    })
  }
}

test('a session of another OpenCode keeps its ids, and those of its subagents', async (t) => {
  const other = await OpenCode.create({ modelUrl: model.url })
  t.after(() => other.close())
  await other.serve()
  const data = join(relay.dir, '.local/share')
  await mkdir(data, { recursive: true })
  await symlink(join(other.env.XDG_DATA_HOME, 'opencode'), join(data, 'opencode'))
  const { id } = await other.request('POST', '/session', {})
  await other.prompt(id, { type: 'text', text: 'the first' })
  await other.prompt(id, { type: 'text', text: 'the second' })
  const [child] = await other.request('GET', `/session/${id}/children`)
  const there = async (at, session) =>
    (await at.request('GET', `/session/${session}/message`)).map(({ info: { system, ...info }, parts }) => ({
      info,
      // What a provider wants to see again the relay does not share.
      parts: parts.map(({ metadata, ...part }) => part),
    }))

  assert.equal((await imported(await share(id, true))).id, id)
  for (const session of [id, child.id]) assert.deepEqual(await there(opencode, session), await there(other, session))
  const { parentID, title } = await opencode.request('GET', `/session/${child.id}`)
  assert.deepEqual([parentID, title], [id, 'Look'])
})

test('what has come since is added, and what is there stays', async () => {
  const share = await server.share()
  const message = (id) => ({ type: 'message', data: { id, role: 'user' } })
  const part = (messageID, text) => ({ type: 'part', data: { id: 'p', messageID, type: 'text', text } })
  await share.sync({ type: 'session', data: { title: 'odd' } }, message('m1'), part('m1', 'the beg'))
  const { id } = await imported(share.url)
  await share.sync(part('m1', 'the beginning'), message('m2'), part('m2', 'more'))
  assert.equal((await imported(share.url)).id, id)
  const texts = (await messagesOf(id)).map(({ parts }) => parts.map(({ text }) => text))
  assert.deepEqual(texts, [['the beg'], ['more']])
})

test('what is odd is taken too, and what has no place in OpenCode is counted', async () => {
  const parse = async (name) => JSON.parse(await readFile(join(FIXTURES, `odd/${name}.json`), 'utf8'))
  const odd = (await parse('items')).map(({ item: { type, data } }, place) => ({
    type,
    data: type === 'part' ? { ...data, id: `odd${place}` } : data,
  }))
  const cases = [[...(await parse('around')), ...odd]]
  for (const name of ['unknown-part', 'output-as-object', 'text-as-array', 'times-as-text', 'answer-before-prompt']) {
    cases.push(await parse(name))
  }
  const counted = []
  for (const items of cases) {
    const share = await server.share()
    await share.sync(...items)
    const { id, stderr } = await imported(share.url)
    counted.push(Number(/^parts left out, .*: (\d+)/m.exec(stderr)?.[1] ?? 0))
    const roles = (messages) => messages.map(({ info }) => info.role)
    const { sessions } = await read(share.url)
    assert.deepEqual(roles(await messagesOf(id)), roles(Object.values(sessions).flat()))
  }
  assert.deepEqual(counted, [2, 2, 0, 0, 0, 0])
})
