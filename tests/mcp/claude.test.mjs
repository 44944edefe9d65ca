// A real Claude Code, which knows nothing of us but the MCP server: its model shares the session in which it is.

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { run } from '../lib/process.mjs'
import { setUp } from '../lib/relay.mjs'
import { CLAUDE, environment, startModel } from './claude.mjs'

const { relay } = await setUp()

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
  const env = environment(relay.dir, model)
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
