// A real Claude Code, which knows nothing of us but the MCP server: its model shares the session in which it is.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { startModel } from '../agents/models/model.mjs'
import { Agent, PROGRAMS } from '../agents/programs.mjs'
import { setUp } from '../lib/relay.mjs'

const { relay } = await setUp()

test('the model of a real Claude Code shares the session in which it is, and its link shows it', async (t) => {
  const project = join(relay.dir, 'project')
  const prompt = 'Read the greeting, then share this session'
  const model = await startModel(PROGRAMS.claude.wire, {
    [prompt]: [
      PROGRAMS.claude.read(join(project, 'greeting.txt')),
      { name: 'mcp__share__share_session', input: {} },
      'The session is shared.',
    ],
  })
  t.after(() => model.close())
  const [command, ...args] = relay.mcpCommand
  const mcp = JSON.stringify({ mcpServers: { share: { command, args } } })
  const options = ['--dangerously-skip-permissions', '--output-format', 'stream-json', '--verbose', '--mcp-config', mcp]
  const program = { ...PROGRAMS.claude, args: (prompt) => ['-p', prompt, ...options] }
  const ran = await (await Agent.create(program, relay.dir, model.url)).run(prompt)
  assert.equal(ran.code, 0, ran.output)
  const [, url] = ran.output.match(/Session shared: (http:\/\/[^\s"\\]+)/) ?? []
  assert.ok(url, ran.output)
  assert.match(ran.output, /Claude Code, \\"Read the greeting/)
  const { json: shares } = await relay.request('GET', '/v1/shares')
  const [{ sessionID }] = shares.filter((share) => share.url === url)
  for (;;) {
    await relay.request('POST', `/v1/sessions/${sessionID}/flush`)
    const shown = await (await fetch(`${url}.md?full=1`)).text()
    // The last word comes when the agent has ended.
    if (!shown.includes('The session is shared.')) continue
    assert.match(shown, /Read the greeting, then share this session/)
    assert.match(shown, /greeting\.txt[^]*Good morning[^]*from the file/)
    break
  }
})
