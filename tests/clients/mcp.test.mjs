// The MCP server, driven by the official SDK for Python.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { run } from '../lib/process.mjs'
import { setUp } from '../lib/relay.mjs'

// An environment with the SDK in it, which `tests/run` makes.
const PYTHON = process.env.MCP_PYTHON ?? 'python3'

const { relay } = await setUp()

test('the Python SDK lists the tools, and shares the session of its directory', async () => {
  const client = fileURLToPath(new URL('client.py', import.meta.url))
  const told = {
    messages: [
      { role: 'user', content: 'From Python' },
      { role: 'assistant', content: 'Answered.' },
    ],
    directory: process.cwd(),
    agent: 'python',
    status: 'busy',
  }
  assert.equal((await relay.request('POST', '/v1/sessions/ses_py/messages', told)).status, 202)
  const { code, stdout, stderr } = await run(PYTHON, [client, ...relay.mcpCommand], { env: process.env })
  assert.equal(code, 0, stderr)
  const { tools, shared, unshared } = JSON.parse(stdout)
  assert.deepEqual(tools.sort(), ['list_shares', 'share_session', 'unshare_session'])
  assert.match(shared.text, /^Session shared: http:\S+ \(python, "From Python", in /)
  assert.match(shared.page, /From Python[^]*Answered\./)
  assert.match(unshared, /ses_py is no longer shared/)
})
