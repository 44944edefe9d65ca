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
  #processes = []

  /** Starts a relay for a server. */
  static async start(apiUrl, ...args) {
    const relay = new Relay()
    relay.dir = await mkdtemp(join(tmpdir(), 'brutus-relay-'))
    relay.localDir = join(relay.dir, 'local')
    relay.args = ['--api-url', apiUrl, '--local-dir', relay.localDir, '--interval', '50ms', ...args]
    await relay.#run('127.0.0.1:0')
    return relay
  }

  async #run(listen) {
    // What agents of whoever runs the tests keep is nobody's business.
    const { CLAUDE_CONFIG_DIR, CODEX_HOME, PI_CODING_AGENT_DIR, XDG_DATA_HOME, ...rest } = process.env
    const env = { ...rest, HOME: this.dir }
    const args = ['relay', '--listen', listen, ...this.args]
    this.process = await start(BINARY, args, { ready: /^listening on (http:\/\/(\S+))$/m, name: 'relay', env })
    ;[, this.url, this.address] = this.process.match
    this.#processes.push(this.process)
  }

  get log() {
    return this.#processes.map(({ log }) => log).join('')
  }

  kill() {
    return this.process.stop('SIGKILL')
  }

  /** A new process on the same files and port. */
  restart() {
    return this.#run(this.address)
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
