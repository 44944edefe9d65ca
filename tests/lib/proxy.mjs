// A proxy between a viewer and a server, which answers for itself when it is told to.

import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

import { WebSocketServer } from 'ws'

export class Proxy {
  /** The requests that came: `{ path, upgrade }`. */
  requests = []
  /**
   * Asked for each request, `{ path, upgrade, method, headers, body() }`, what becomes of it: nothing, then it goes to
   * the server; an answer, `{ status, type, headers, body }`, which `breaks` off when it says so; `{ cut: true }`, a
   * broken connection; for an upgrade also `{ websocket }`, which takes the open socket. It may take its time.
   */
  answer = () => undefined
  /** The path that the proxy serves its server under, and takes away. */
  path = ''
  #open = new Set()
  #websockets = new WebSocketServer({ noServer: true })

  static async start(target) {
    const proxy = new this()
    proxy.target = new URL(target)
    proxy.server = createServer((incoming, response) => proxy.#forward(incoming, response))
    proxy.server.on('upgrade', (incoming, socket, head) => proxy.#upgrade(incoming, socket, head))
    proxy.server.listen(0, '127.0.0.1')
    await once(proxy.server, 'listening')
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`
    return proxy
  }

  /** How many WebSockets are open. */
  get open() {
    return this.#open.size
  }

  /** How many requests there were for paths that match. */
  count(pattern) {
    return this.requests.filter(({ path }) => pattern.test(path)).length
  }

  /** Breaks every open WebSocket without a word. */
  cut() {
    for (const socket of this.#open) socket.destroy()
  }

  #onward(path) {
    return this.path && path.startsWith(`${this.path}/`) ? path.slice(this.path.length) : path
  }

  async #decide(incoming, upgrade) {
    const { url: path, method, headers } = incoming
    this.requests.push({ path, upgrade })
    return this.answer({ path, upgrade, method, headers, body: () => text(incoming) })
  }

  async #forward(incoming, response) {
    const own = await this.#decide(incoming, false)
    if (own?.cut) return response.destroy()
    if (own) {
      response.writeHead(own.status, { ...(own.type && { 'content-type': own.type }), ...own.headers })
      if (own.breaks) return response.write(own.body, () => response.destroy())
      return response.end(own.body)
    }
    const { hostname, port } = this.target
    const onward = request(
      { hostname, port, method: incoming.method, path: this.#onward(incoming.url), headers: incoming.headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers)
        answer.pipe(response)
      },
    )
    onward.on('error', () => response.destroy())
    incoming.pipe(onward)
  }

  async #upgrade(incoming, socket, head) {
    socket.on('error', () => {})
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    const own = await this.#decide(incoming, true)
    if (own?.websocket) return this.#websockets.handleUpgrade(incoming, socket, head, own.websocket)
    if (own?.cut) return socket.destroy()
    if (own) {
      const headers = Object.entries({
        connection: 'close',
        ...(own.type && { 'content-type': own.type }),
        ...own.headers,
      })
      return socket.end(
        [
          `HTTP/1.1 ${own.status} ${own.status}`,
          ...headers.map(([name, value]) => `${name}: ${value}`),
          '',
          own.body ?? '',
        ].join('\r\n'),
      )
    }
    const onward = connect(Number(this.target.port), this.target.hostname, () => {
      const names = incoming.rawHeaders.map((text, at) => (at % 2 ? `${text}\r\n` : `${text}: `)).join('')
      onward.write(`${incoming.method} ${this.#onward(incoming.url)} HTTP/1.1\r\n${names}\r\n`)
      socket.pipe(onward).pipe(socket)
    })
    onward.on('error', () => socket.destroy())
    onward.on('close', () => socket.destroySoon())
    socket.on('close', () => onward.destroy())
  }

  async close() {
    this.cut()
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, 'close')
  }
}
