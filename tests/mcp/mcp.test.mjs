// The MCP server, driven by the official SDK's client, and by a real OpenCode whose model calls the tool.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

import { Relay } from '../lib/relay.mjs'
import { Server } from '../lib/server.mjs'
import { startModel } from '../opencode/model.mjs'
import { OpenCode } from '../opencode/opencode.mjs'

let server
let relay

before(async () => {
  server = await Server.start()
  relay = await Relay.start(server.url)
})

after(async () => {
  await relay?.close()
  await server?.close()
})

async function connect(t, [command, ...args]) {
  const client = new Client({ name: 'test', version: '1' })
  await client.connect(new StdioClientTransport({ command, args }))
  t.after(() => client.close())
  const call = async (name, input = {}) => {
    const { content, isError } = await client.callTool({ name, arguments: input })
    return { text: content[0].text, isError: isError ?? false }
  }
  return { client, call }
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
  assert.deepEqual(share.inputSchema.required, ['sessionID'])
  assert.match(share.inputSchema.properties.sessionID.description, /id of the session/)
})

test('a session is shared, listed and unshared', async (t) => {
  const { call } = await connect(t, relay.mcpCommand)
  assert.deepEqual(await call('list_shares'), { text: 'No session is shared.', isError: false })
  const shared = await call('share_session', { sessionID: 'ses_mcp' })
  const [url] = shared.text.match(/http:\S+/)
  assert.equal((await fetch(url)).status, 200)
  assert.match((await call('list_shares')).text, new RegExp(`ses_mcp: ${url} \\(active`))
  assert.equal((await call('unshare_session', { sessionID: 'ses_mcp' })).isError, false)
  assert.equal((await fetch(url)).status, 404)
})

test('a link ends when the user wants it', async (t) => {
  const { call } = await connect(t, relay.mcpCommand)
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
  const incomplete = await call('share_session')
  assert.ok(incomplete.isError)
  assert.match(incomplete.text, /sessionID/)

  const [command, ...args] = relay.mcpCommand
  args[args.indexOf('--relay') + 1] = 'http://127.0.0.1:1'
  const lost = await (await connect(t, [command, ...args])).call('list_shares')
  assert.ok(lost.isError)
  assert.match(lost.text, /start one with `brutus-share relay`/)
})

test('the model of a real OpenCode shares its session with the tool', async (t) => {
  const model = await startModel((prompt) =>
    prompt.includes('share this') ? [[['brutus_share_session', { sessionID: 'ses_of_the_agent' }]]] : [],
  )
  const opencode = await OpenCode.create({
    modelUrl: model.url,
    shareUrl: server.url,
    mcp: { brutus: { type: 'local', command: relay.mcpCommand, enabled: true } },
  })
  t.after(async () => {
    await opencode.close()
    model.close()
  })
  await opencode.serve()
  const session = await opencode.request('POST', '/session', {})
  const { parts } = await opencode.prompt(session.id, { type: 'text', text: 'Please share this session' })
  const messages = await opencode.request('GET', `/session/${session.id}/message`)
  const call = messages.flatMap(({ parts }) => parts).find(({ tool }) => tool === 'brutus_share_session')
  assert.equal(call?.state.status, 'completed', JSON.stringify(call ?? parts))
  const [url] = call.state.output.match(/http:\S+/)
  assert.equal((await fetch(url)).status, 200)
  const { json } = await relay.request('GET', '/v1/shares')
  assert.deepEqual(
    json.map(({ sessionID, url }) => [sessionID, url]),
    [['ses_of_the_agent', url]],
  )
})
