// The server that the contract is held against: `brutus-share serve`, with `TARGET=postgres` or `TARGET=libsql` over
// such a database, or with `TARGET=workerd` the one of packaging/cloudflare, or whatever stands at `BASE_URL`, of which
// nothing is known but that.

import { once } from 'node:events'
import { request } from 'node:http'
import { join } from 'node:path'
import { test as nodeTest } from 'node:test'

import { WebSocket } from 'ws'

import { Changing } from '../lib/changing.mjs'
import { newStore } from '../lib/databases.mjs'
import { run } from '../lib/process.mjs'
import { BINARY, Server, Share } from '../lib/server.mjs'
import { Workerd } from '../lib/workerd.mjs'

const { BASE_URL, TARGET = 'serve' } = process.env

class Remote extends Server {
  static async start() {
    return Object.assign(new Remote(), { url: BASE_URL.replace(/\/+$/, '') })
  }

  async close() {}
}

/** Starts the target with options by their names: sizes in bytes, times in seconds. */
export async function start(options = {}) {
  if (BASE_URL) return Remote.start()
  const given = Object.entries(options)
  if (TARGET === 'workerd') return Workerd.start(...given.map(([name, value]) => `${name.toUpperCase()}=${value}`))
  const store = TARGET === 'serve' ? [] : ['--store', await newStore(TARGET)]
  const flag = ([name, value]) => `--${name.replaceAll('_', '-')}=${value}${name.endsWith('lifetime') ? 's' : ''}`
  return Server.start('--sweep-interval', '100ms', ...store, ...given.map(flag))
}

/** Starts the target so that creating needs a token; gives both. */
export async function startWithToken() {
  if (TARGET === 'workerd') {
    const token = 'a-token-of-the-operator'
    return { server: await Workerd.start(`CREATE_TOKEN=${token}`), token }
  }
  const server = await start({ create_tokens: true })
  const store = server.args.slice(server.args.indexOf('--store')).slice(0, 2)
  const place = store[0] === '--store' ? store : ['--data-dir', join(server.dir, 'data')]
  const { stdout } = await run(BINARY, ['token', 'add', 'one', ...place])
  return { server, token: stdout.trim() }
}

/** A test with a target of its own, which has these options. What stands at `BASE_URL` cannot have any. */
export function testWith(options, name, story) {
  const skip = BASE_URL && Object.keys(options).length ? 'needs options' : false
  nodeTest(name, { skip }, async (t) => {
    const server = await start(options)
    t.after(() => server.close())
    await story(server, t)
  })
}

/** Asks; gives status, headers, text and what that means. */
export async function ask(server, method, path, { body, headers = {} } = {}) {
  const text =
    body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const answer = await fetch(server.url + path, { method, headers, body: text, redirect: 'manual' })
  return read({ status: answer.status, headers: answer.headers, text: await answer.text() })
}

/** Asks as a program does that is no browser: `fetch` adds headers of its own, and takes no upgrade. */
export async function askBare(server, path, headers = {}) {
  const asked = request(server.url + path, { headers }).end()
  const [answer] = await once(asked, 'response')
  const text = (await answer.setEncoding('utf8').toArray()).join('')
  return read({ status: answer.statusCode, headers: new Headers(Object.entries(answer.headers)), text })
}

function read(answer) {
  try {
    answer.json = JSON.parse(answer.text)
  } catch {}
  return answer
}

/** Headers by which a request comes from an address: `serve` has to trust who sends them (`trusted_proxies`). */
export const from = (address) => ({ 'x-forwarded-for': address, 'cf-connecting-ip': address })

/** Status and code of a refusal, and that it has the shape of all. */
export function refusal({ status, headers, json, text }) {
  const { code, message } = json?.error ?? {}
  const isOurs = typeof code === 'string' && message?.length > 0 && headers.get('content-type')?.includes('json')
  return isOurs ? `${status} ${code}` : `${status}, which is no refusal of ours: ${text.slice(0, 200)}`
}

/** The cookie that an answer gives, as a browser sends it back. */
export const cookieOf = ({ headers }) => ({ cookie: headers.get('set-cookie').split(';')[0] })

/** A new share, whose `id`, `secret` and `path` stand beside what can be done with it. */
export async function share(server, asked = {}) {
  const { json } = await ask(server, 'POST', '/api/share', { body: { sessionID: 'ses_1', ...asked } })
  return new Asked(server, json)
}

class Asked extends Share {
  get path() {
    return `/api/share/${this.id}`
  }

  ask(method, path, options) {
    return ask(this.server, method, `${this.path}${path}`, options)
  }

  /** A sync of these items. */
  put(...data) {
    return this.ask('POST', '/sync', { body: { secret: this.secret, data } })
  }

  /** A sync of items that stand there as text. */
  putText(items) {
    return this.ask('POST', '/sync', { body: `{"secret":"${this.secret}","data":[${items}]}` })
  }

  remove() {
    return this.ask('DELETE', '', { body: { secret: this.secret } })
  }

  async items(query = '') {
    return (await this.ask('GET', `/items${query}`)).json
  }

  /** Changes what its readers need, or when it ends. */
  amend(change) {
    return this.ask('PATCH', '', { body: { secret: this.secret, ...change } })
  }

  /** Opens its lock. */
  open(key, headers) {
    return this.ask('POST', '/open', { body: key, headers })
  }

  watch(query, headers) {
    return Watcher.connect(this.server, this.id, query, headers)
  }
}

/** A viewer that keeps what it was shown. */
export class Watcher extends Changing {
  frames = []

  static async connect(server, id, query = '', headers = {}) {
    const watcher = new Watcher()
    watcher.socket = new WebSocket(`${server.url.replace(/^http/, 'ws')}/api/share/${id}/poll${query}`, { headers })
    watcher.socket.on('message', (text, isBinary) => {
      if (isBinary) throw new Error('a binary frame')
      watcher.frames.push(JSON.parse(text))
      watcher.changed()
    })
    watcher.socket.on('close', (code) => {
      watcher.code = code
      watcher.changed()
    })
    await once(watcher.socket, 'open')
    return watcher
  }

  get situation() {
    return JSON.stringify(this.frames).slice(-2000)
  }

  /** Frames of items. */
  get shown() {
    return this.frames.filter(({ type }) => type === 'items')
  }

  /** What it holds, by key. */
  get holds() {
    const held = new Map()
    for (const { items, removed } of this.shown) {
      for (const { key, data } of items) held.set(key, data)
      for (const key of removed) held.delete(key)
    }
    return held
  }

  /** Waits until it has all up to a position. */
  reached(seq) {
    return this.until(`position ${seq}`, () => this.shown.at(-1)?.seq >= seq && !this.shown.at(-1).more)
  }

  ended() {
    return this.until('the close', () => this.code !== undefined)
  }

  close() {
    this.socket.terminate()
  }
}

export const session = (data = {}) => ({ type: 'session', data: { id: 'ses_1', title: 'A session', ...data } })
export const message = (id, data = {}) => ({
  type: 'message',
  data: { id, role: 'assistant', time: { created: 1 }, ...data },
})
export const part = (messageID, id, text = 'text') => ({ type: 'part', data: { id, messageID, type: 'text', text } })
