// The real server, in a process of its own.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { start } from './process.mjs'

export const BINARY =
  process.env.BRUTUS_SHARE_BIN ?? fileURLToPath(new URL('../../target/debug/brutus-share', import.meta.url))

export class Server {
  /** Starts a server with a data directory of its own. */
  static async start(...args) {
    const server = new this()
    server.args = args
    server.dir = await mkdtemp(join(tmpdir(), 'brutus-share-'))
    await server.run('127.0.0.1:0')
    return server
  }

  async run(listen) {
    const args = [
      'serve',
      '--listen',
      listen,
      '--data-dir',
      join(this.dir, 'data'),
      '--create-limit',
      '10000/s',
      ...this.args,
    ]
    this.process = await start(BINARY, args, { ready: /^listening on (http:\/\/(\S+))$/m, name: 'server' })
    ;[, this.url, this.address] = this.process.match
  }

  get log() {
    return this.process.log
  }

  stop(signal) {
    return this.process.stop(signal)
  }

  /** A new process on the same data and port. */
  restart() {
    return this.run(this.address)
  }

  async close() {
    await this.stop('SIGKILL')
    await rm(this.dir, { recursive: true, force: true })
  }

  async request(method, path, body) {
    const answer = await fetch(this.url + path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
    const text = await answer.text()
    let json
    try {
      json = JSON.parse(text)
    } catch {}
    return { status: answer.status, headers: answer.headers, text, json }
  }

  /** Creates a share. */
  async share(sessionID = 'ses_1') {
    const { status, json, text } = await this.request('POST', '/api/share', { sessionID })
    if (status !== 200) throw new Error(`create: ${status} ${text}`)
    return new Share(this, json)
  }
}

export class Share {
  constructor(server, { id, url, secret }) {
    Object.assign(this, { server, id, url, secret })
  }

  async sync(...data) {
    const { status, text } = await this.server.request('POST', `/api/share/${this.id}/sync`, {
      secret: this.secret,
      data,
    })
    if (status !== 200) throw new Error(`sync: ${status} ${text}`)
  }

  async delete() {
    const { status, text } = await this.server.request('DELETE', `/api/share/${this.id}`, { secret: this.secret })
    if (status !== 200) throw new Error(`delete: ${status} ${text}`)
  }

  async data() {
    return (await this.server.request('GET', `/api/share/${this.id}/data`)).json
  }
}
