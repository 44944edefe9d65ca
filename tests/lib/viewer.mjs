// A viewer without a page: keeps what a share's WebSocket shows it.

import { once } from 'node:events'

import { WebSocket } from 'ws'

import { Changing } from './changing.mjs'

export class Viewer extends Changing {
  items = new Map()
  more = true

  /** Connects to a share of a server. */
  static async connect(url, id) {
    const viewer = new Viewer()
    viewer.socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/share/${id}/poll`)
    viewer.socket.on('message', (text) => viewer.#take(JSON.parse(text)))
    viewer.socket.on('close', (code) => {
      viewer.closeCode = code
      viewer.changed()
    })
    await once(viewer.socket, 'open')
    return viewer
  }

  #take(frame) {
    if (frame.type === 'items') {
      this.epoch = frame.epoch
      this.seq = frame.seq
      for (const { key, data } of frame.items) this.items.set(key, data)
      for (const key of frame.removed) this.items.delete(key)
      this.more = frame.more
    } else if (frame.type === 'viewers') {
      this.viewers = frame.count
    } else if (frame.type === 'closed') {
      this.closed = frame.reason
    }
    this.changed()
  }

  close() {
    this.socket.close()
  }
}
