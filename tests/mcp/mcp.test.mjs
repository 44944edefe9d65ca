// The MCP server, driven by the official SDK's client, and by a real OpenCode whose model calls the tool.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

import { Relay, setUp } from '../lib/relay.mjs'
import { Server } from '../lib/server.mjs'
import { onEvents } from '../opencode/bus.mjs'
import { startModel } from '../opencode/model.mjs'
import { OpenCode } from '../opencode/opencode.mjs'

const { server, relay } = await setUp()

async function connect(t, [command, ...args], cwd) {
  const client = new Client({ name: 'test', version: '1' })
  await client.connect(new StdioClientTransport({ command, args, cwd }))
  t.after(() => client.close())
  const call = async (name, input = {}) => {
    const { content, isError } = await client.callTool({ name, arguments: input })
    return { text: content[0].text, isError: isError ?? false }
  }
  return { client, call }
}

/** Tells a relay of a session, as its agent does. */
async function tell(relay, sessionID, fields = {}) {
  const messages = [
    { role: 'user', content: `Ask ${sessionID}` },
    { role: 'assistant', content: 'Answered.' },
  ]
  const answer = await relay.request('POST', `/v1/sessions/${sessionID}/messages`, { messages, ...fields })
  assert.equal(answer.status, 202, JSON.stringify(answer.json))
}

test('the tools are listed with what a model needs to use them rightly', async (t) => {
  const { client } = await connect(t, relay.mcpCommand)
  const { tools } = await client.listTools()
  assert.deepEqual(tools.map(({ name }) => name).sort(), ['list_shares', 'share_session', 'unshare_session'])
  for (const { description, inputSchema } of tools) {
    assert.ok(description.length > 60)
    assert.equal(inputSchema.type, 'object')
  }
  // Nothing that is Rust's own, or that a client has to choose from: some refuse all tools for it.
  for (const { inputSchema } of tools) {
    for (const [name, field] of Object.entries(inputSchema.properties)) {
      assert.ok(['string', 'integer'].includes(field.type), `${name}: ${JSON.stringify(field)}`)
      for (const word of ['format', 'anyOf', 'oneOf', 'default', 'nullable'])
        assert.ok(!(word in field), `${name}: ${word}`)
      assert.ok(field.description.length > 20)
    }
  }
  const share = tools.find(({ name }) => name === 'share_session')
  const described = Object.fromEntries(tools.map(({ name, description }) => [name, description]))
  assert.match(described.share_session, /only when the user asks.*Returns `Session shared: LINK`/)
  assert.match(described.share_session, /public: whoever has it/)
  assert.match(described.unshare_session, /NOT confirmed/)
  assert.match(described.list_shares, /`removing`/)
  const hints = Object.fromEntries(tools.map(({ name, annotations }) => [name, annotations]))
  assert.equal(hints.list_shares.readOnlyHint, true)
  assert.equal(hints.share_session.destructiveHint, false)
  assert.deepEqual([hints.unshare_session.destructiveHint, hints.unshare_session.openWorldHint], [true, true])
  assert.deepEqual(share.inputSchema.required ?? [], [])
  assert.match(share.inputSchema.properties.sessionID.description, /id of the session.*Leave it out/s)
})

test('a session is shared, listed and unshared', async (t) => {
  const { call } = await connect(t, relay.mcpCommand)
  assert.deepEqual(await call('list_shares'), { text: 'No session is shared.', isError: false })
  await tell(relay, 'ses_mcp', { agent: 'tester' })
  const shared = await call('share_session', { sessionID: 'ses_mcp' })
  const [url] = shared.text.match(/http:\S+/)
  assert.match(shared.text, /^Session shared: \S+ \(tester, "Ask ses_mcp"\)$/)
  assert.match(await (await fetch(`${url}.md`)).text(), /Answered\./)
  assert.match((await call('list_shares')).text, new RegExp(`ses_mcp: ${url} \\(active`))
  assert.equal((await call('unshare_session', { sessionID: 'ses_mcp' })).isError, false)
  assert.equal((await fetch(url)).status, 404)
})

test('a link ends when the user wants it', async (t) => {
  const { call } = await connect(t, relay.mcpCommand)
  for (const id of ['ses_short', 'ses_text', 'ses_odd']) await tell(relay, id)
  const shared = await call('share_session', { sessionID: 'ses_short', expiresIn: 7200 })
  assert.match(shared.text, /ends in 2h/)
  // Models write numbers as text.
  const text = await call('share_session', { sessionID: 'ses_text', expiresIn: '3600' })
  assert.match(text.text, /ends in (1h|60m|59m)/)
  assert.equal((await call('unshare_session', { sessionID: 'ses_text' })).isError, false)
  const odd = await call('share_session', { sessionID: 'ses_odd', expiresIn: 'soon' })
  assert.ok(odd.isError)
  assert.match(odd.text, /whole number of seconds/)
  assert.equal((await call('unshare_session', { sessionID: 'ses_short' })).isError, false)
})

test('an unshare that the server has not confirmed says so, until it has', async (t) => {
  const away = await Server.start()
  const ours = await Relay.start(away.url, '--max-backoff', '100ms')
  t.after(async () => {
    await ours.close()
    await away.close()
  })
  const { call } = await connect(t, ours.mcpCommand)
  await tell(ours, 'ses_away')
  const shared = await call('share_session', { sessionID: 'ses_away' })
  const [url] = shared.text.match(/http:\S+/)
  await away.stop('SIGKILL')
  const asked = await call('unshare_session', { sessionID: 'ses_away' })
  assert.equal(asked.isError, false)
  assert.match(asked.text, /NOT confirmed/)
  assert.doesNotMatch(asked.text, /no longer shared/)
  assert.match((await call('list_shares')).text, /ses_away: .*\(removing/)
  await away.restart()
  while ((await call('list_shares')).text !== 'No session is shared.');
  assert.equal((await fetch(url)).status, 404)
})

test('what goes wrong is a tool error that says what to do', async (t) => {
  const { call } = await connect(t, relay.mcpCommand)
  const unknown = await call('unshare_session', { sessionID: 'never' })
  assert.ok(unknown.isError)
  assert.match(unknown.text, /not shared.*list_shares/)
  const [elsewhere] = await Promise.all([mkdtemp(join(tmpdir(), 'brutus-share-mcp-')), tell(relay, 'ses_known')])
  t.after(() => rm(elsewhere, { recursive: true }))
  const stray = await connect(t, relay.mcpCommand, elsewhere)
  for (const [input, why] of [
    [{ sessionID: 'made_up' }, /does not know this session/],
    [{}, /not clear which session you are in: give its sessionID/],
  ]) {
    const refused = await stray.call('share_session', input)
    assert.ok(refused.isError)
    assert.match(refused.text, why)
    assert.match(refused.text, /^ses_known: "Ask ses_known"$/m)
  }

  const [command, ...args] = relay.mcpCommand
  args[args.indexOf('--relay') + 1] = 'http://127.0.0.1:1'
  const lost = await (await connect(t, [command, ...args])).call('list_shares')
  assert.ok(lost.isError)
  assert.match(lost.text, /start one with `brutus-share relay`/)
})

test('without an id it is the session of the directory in which the agent started the tool', async (t) => {
  const dirs = await Promise.all(['a', 'b'].map((name) => mkdtemp(join(tmpdir(), `brutus-share-${name}-`))))
  t.after(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true }))))
  await tell(relay, 'ses_a', { directory: dirs[0], agent: 'one', status: 'busy' })
  await tell(relay, 'ses_a_old', { directory: dirs[0], agent: 'one', status: 'idle' })
  await tell(relay, 'ses_b', { directory: dirs[1], agent: 'other', status: 'busy' })
  for (const [dir, id, agent] of [
    [dirs[0], 'ses_a', 'one'],
    [dirs[1], 'ses_b', 'other'],
  ]) {
    const { call } = await connect(t, relay.mcpCommand, dir)
    const shared = await call('share_session')
    assert.equal(shared.isError, false, shared.text)
    assert.match(shared.text, new RegExp(`\\(${agent}, "Ask ${id}", in ${dir}\\)`))
    const [url] = shared.text.match(/http:\S+/)
    assert.match(await (await fetch(`${url}.md`)).text(), new RegExp(`Ask ${id}`))
    const ended = await call('unshare_session')
    assert.match(ended.text, new RegExp(`${id} is no longer shared`))
  }
})

test('the model of a real OpenCode shares the session in which it is, and its link shows it', async (t) => {
  const model = await startModel((prompt) => (prompt.includes('share this') ? [[['brutus_share_session', {}]]] : []))
  const opencode = await OpenCode.create({
    modelUrl: model.url,
    shareUrl: server.url,
    mcp: { brutus: { type: 'local', command: relay.mcpCommand, enabled: true } },
  })
  let bus
  t.after(async () => {
    bus?.close()
    await opencode.close()
    model.close()
  })
  await opencode.serve()
  const session = await opencode.request('POST', '/session', {})
  // What a plugin does: at each event the whole conversation, as OpenCode has it.
  bus = await onEvents(opencode, `/event?directory=${encodeURIComponent(opencode.project)}`, async ({ type }) => {
    const status = type === 'session.idle' ? 'idle' : 'busy'
    const messages = await opencode.request('GET', `/session/${session.id}/message`)
    const body = { messages, directory: opencode.project, agent: 'opencode', status }
    const answer = await relay.request('POST', `/v1/sessions/${session.id}/messages`, body)
    assert.equal(answer.status, 202, JSON.stringify(answer.json))
  })
  const { parts } = await opencode.prompt(session.id, { type: 'text', text: 'Please share this session' })
  const messages = await opencode.request('GET', `/session/${session.id}/message`)
  const call = messages.flatMap(({ parts }) => parts).find(({ tool }) => tool === 'brutus_share_session')
  assert.equal(call?.state.status, 'completed', JSON.stringify(call ?? parts))
  assert.match(call.state.output, /opencode, "Please share this session"/)
  const [url] = call.state.output.match(/http:\S+/)
  const shown = async () => (await fetch(`${url}.md`)).text()
  await bus.until(async () => {
    await relay.request('POST', `/v1/sessions/${session.id}/flush`)
    return /Please share this session/.test(await shown()) && /Here is the plan/.test(await shown())
  })
  const { json } = await relay.request('GET', '/v1/shares')
  assert.deepEqual(
    json.filter(({ url: of }) => of === url).map(({ sessionID }) => sessionID),
    [session.id],
  )
})
