// A real Claude Code, which knows nothing of us but the MCP server: its model shares the session in which it is.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { run } from '../lib/process.mjs'
import { setUp } from '../lib/relay.mjs'

const CLAUDE = fileURLToPath(new URL('../agents/node_modules/.bin/claude', import.meta.url))

const { relay } = await setUp()

/** A model that plays its steps, a call `{ name, input }` or a text each, in Anthropic's wire. */
async function startModel(steps) {
  const model = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    if (!request.url.startsWith('/v1/messages') || request.method !== 'POST') return response.writeHead(404).end()
    const { messages, tools = [] } = JSON.parse(body)
    // Requests beside the conversation, such as for a title, have no tools.
    const done = messages.filter(({ role }) => role === 'assistant').length
    const step = tools.length ? (steps[done] ?? 'Done.') : 'A title'
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of events(step)) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    response.end()
  })
  model.listen(0, '127.0.0.1')
  await once(model, 'listening')
  return model
}

let calls = 0
function events(step) {
  const usage = { input_tokens: 10, output_tokens: 5 }
  const isCall = typeof step !== 'string'
  calls += 1
  const message = { id: `msg_${calls}`, type: 'message', role: 'assistant', model: 'claude-test', content: [], usage }
  const block = isCall
    ? { type: 'tool_use', id: `toolu_${calls}`, name: step.name, input: {} }
    : { type: 'text', text: '' }
  const delta = isCall
    ? { type: 'input_json_delta', partial_json: JSON.stringify(step.input) }
    : { type: 'text_delta', text: step }
  return [
    { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null } },
    { type: 'content_block_start', index: 0, content_block: block },
    { type: 'content_block_delta', index: 0, delta },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: isCall ? 'tool_use' : 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]
}

test('the model of a real Claude Code shares the session in which it is, and its link shows it', async (t) => {
  const project = join(relay.dir, 'project')
  await mkdir(project)
  await writeFile(join(project, 'greeting.txt'), 'Good morning from the file\n')
  const model = await startModel([
    { name: 'Read', input: { file_path: join(project, 'greeting.txt') } },
    { name: 'mcp__share__share_session', input: {} },
    'The session is shared.',
  ])
  t.after(() => {
    model.closeAllConnections()
    model.close()
  })
  const [command, ...args] = relay.mcpCommand
  const env = {
    PATH: process.env.PATH,
    HOME: relay.dir,
    ANTHROPIC_BASE_URL: `http://127.0.0.1:${model.address().port}`,
    ANTHROPIC_API_KEY: 'x',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
    IS_SANDBOX: '1',
  }
  const options = ['--dangerously-skip-permissions', '--output-format', 'stream-json', '--verbose', '--mcp-config']
  const mcp = JSON.stringify({ mcpServers: { share: { command, args } } })
  const ran = await run(CLAUDE, ['-p', 'Read the greeting, then share this session', ...options, mcp], {
    cwd: project,
    env,
  })
  assert.equal(ran.code, 0, ran.stdout + ran.stderr)
  const [, url] = ran.stdout.match(/Session shared: (http:\/\/[^\s"\\]+)/) ?? []
  assert.ok(url, ran.stdout)
  assert.match(ran.stdout, /Claude Code, \\"Read the greeting/)
  const { json: shares } = await relay.request('GET', '/v1/shares')
  const [{ sessionID }] = shares.filter((share) => share.url === url)
  for (;;) {
    await relay.request('POST', `/v1/sessions/${sessionID}/flush`)
    const shown = await (await fetch(`${url}.md?full=1`)).text()
    // The last word comes when the agent has ended.
    if (!shown.includes('The session is shared.')) continue
    assert.match(shown, /Read the greeting, then share this session/)
    assert.match(shown, /greeting\.txt[^]*Good morning from the file/)
    break
  }
})
