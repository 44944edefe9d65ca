// The real relay, in a process of its own.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

import { start } from './process.mjs'
import { BINARY, Server } from './server.mjs'

/** A server and a relay for it, for as long as a file's tests run. */
export async function setUp() {
  const server = await Server.start()
  const relay = await Relay.start(server.url)
  after(async () => {
    await relay.close()
    await server.close()
  })
  return { server, relay }
}

export class Relay {
  /** Starts a relay for a server. */
  static async start(apiUrl, ...args) {
    const relay = new Relay()
    relay.dir = await mkdtemp(join(tmpdir(), 'brutus-relay-'))
    relay.localDir = join(relay.dir, 'local')
    relay.args = [
      'relay',
      '--listen',
      '127.0.0.1:0',
      '--api-url',
      apiUrl,
      '--local-dir',
      relay.localDir,
      '--interval',
      '50ms',
      ...args,
    ]
    await relay.restart()
    return relay
  }

  /** A new process with the same state. */
  async restart() {
    // What agents of whoever runs the tests keep is nobody's business.
    const places = { HOME: this.dir, CLAUDE_CONFIG_DIR: join(this.dir, '.claude'), XDG_DATA_HOME: '' }
    const env = { ...process.env, ...places }
    this.process = await start(BINARY, this.args, { ready: /^listening on (\S+)$/m, name: 'relay', env })
    this.url = this.process.match[1]
  }

  /** How an agent starts the MCP server of this relay. */
  get mcpCommand() {
    return [BINARY, 'mcp', '--relay', this.url, '--local-dir', this.localDir]
  }

  async request(method, path, body) {
    const token = await readFile(join(this.localDir, 'token'), 'utf8')
    const answer = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    return { status: answer.status, json: await answer.json() }
  }

  async close() {
    await this.process.stop('SIGKILL')
    await rm(this.dir, { recursive: true, force: true })
  }
}
