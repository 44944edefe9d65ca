// A proxy that changes what a server says of a share: its pages of items, and what it sends live.

import { WebSocket } from 'ws'

import { Proxy } from './proxy.mjs'

const isPage = (path) => /\/items\b/.test(path)

export class LyingProxy extends Proxy {
  /** The frames that came, as the server sent them. */
  frames = []
  /** What becomes of a frame: given a copy, gives what is passed on; nothing, then nothing is. */
  lie = (frame) => frame
  /** The sockets that are open to viewers. */
  viewers = new Set()

  constructor() {
    super()
    this.answer = async ({ path, upgrade }) => {
      if (upgrade) return { websocket: (socket) => this.#live(socket, path) }
      if (!isPage(path)) return undefined
      const answer = await fetch(this.target.origin + path)
      const text = await answer.text()
      const body = answer.ok ? JSON.stringify(this.#told(JSON.parse(text))) : text
      return { status: answer.status, type: 'application/json', body }
    }
  }

  /** Sends viewers a frame of its own. */
  say(frame) {
    for (const socket of this.viewers) socket.send(JSON.stringify(frame))
  }

  #told(frame) {
    if (frame.type !== 'items') return frame
    this.frames.push(frame)
    return this.lie(structuredClone(frame))
  }

  #live(socket, path) {
    const onward = new WebSocket(this.target.origin.replace('http', 'ws') + path)
    this.viewers.add(socket)
    onward.on('message', (text) => {
      const told = this.#told(JSON.parse(text))
      if (told) socket.send(JSON.stringify(told))
    })
    onward.on('close', (code) => socket.close(code === 1006 ? 1011 : code))
    onward.on('error', () => {})
    socket.on('close', () => {
      this.viewers.delete(socket)
      onward.close()
    })
  }
}
