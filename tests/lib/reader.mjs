// What the page loads and holds, without the page: its own `Connection` and `Session`, in a browser's stead.

import { WebSocket } from 'ws'

import { Connection } from '../../viewer/load/connection.js'
import { Opener } from '../../viewer/load/opener.js'
import { Session } from '../../viewer/load/session.js'
import { Changing } from './changing.mjs'
import { PATIENCE } from './process.mjs'

/** The world as a connection sees it, in which a test says what happens. */
export class World extends EventTarget {
  online = true
  /** The pauses between attempts, in milliseconds, as they were asked for. */
  pauses = []
  /** The most sockets that were open or opening at once. */
  most = 0
  sockets = []
  fetch = fetch
  #idleTimeout

  constructor(idleTimeout) {
    super()
    this.#idleTimeout = idleTimeout
    const world = this
    this.WebSocket = class extends WebSocket {
      constructor(url) {
        super(url)
        world.sockets.push(this)
        world.most = Math.max(world.most, world.open)
      }
    }
  }

  /** Sockets that nobody has closed. */
  get open() {
    return this.sockets.filter(({ readyState }) => readyState === WebSocket.OPEN || readyState === WebSocket.CONNECTING)
      .length
  }

  now() {
    return performance.now()
  }

  after(ms, action) {
    if (ms !== this.#idleTimeout) this.pauses.push(ms)
    const timer = setTimeout(action, ms)
    return () => clearTimeout(timer)
  }

  /** `online`, `offline`, `front` or `woke` happens. */
  happens(name) {
    if (name === 'online' || name === 'offline') this.online = name === 'online'
    this.dispatchEvent(new Event(name))
  }
}

/** So short that no test waits for them; what is waited for by events has as long as a test has. */
const TIMING = { minDelay: 4, maxDelay: 40, busyDelay: 60, idleTimeout: PATIENCE }

/** Milliseconds after which a difference to the manifest is told. */
const SETTLE = 50

export class Reader extends Changing {
  session = new Session()
  /** The states, one after the other. */
  states = []
  /** How often everything was loaded anew, or was to be. */
  restarts = 0
  ends = undefined

  /** Opens a share by the URL of its server, or of what stands before that; with the key of its link, if it has one. */
  constructor(url, id, timing = {}, key) {
    super()
    const all = { ...TIMING, ...timing }
    this.world = new World(all.idleTimeout)
    this.opener = key === undefined ? undefined : new Opener(id, key, this.world, SETTLE)
    this.opener?.addEventListener('doubts', () => this.changed())
    this.connection = new Connection(`${url}/api/share/${id}`, this.session, this.world, all, this.opener)
    this.connection.addEventListener('state', ({ detail }) => {
      this.states.push(detail)
      this.changed()
    })
    this.connection.addEventListener('change', ({ detail }) => {
      this.last = detail
      this.changed()
    })
    this.connection.addEventListener('summary', ({ detail: { expiresAt: detail } }) => {
      this.ends = detail
      this.changed()
    })
    const apply = this.session.apply.bind(this.session)
    this.session.apply = (frame) => {
      const change = apply(frame)
      if (change.lost) this.restarts += 1
      return change
    }
    this.running = this.connection.start()
  }

  get state() {
    return this.connection.state
  }

  get situation() {
    return `state ${this.state} after ${this.states.join(', ')}`
  }

  live() {
    return this.until('live', () => this.state === 'live')
  }

  /** What it holds, as `/data` has it. */
  get data() {
    const { info, models, diffs } = this.session
    const parts = (message) => this.session.partsOf(message).map((data) => ({ type: 'part', data }))
    return [
      ...(info ? [{ type: 'session', data: info }] : []),
      ...this.session.ordered().flatMap((message) => [{ type: 'message', data: message.info }, ...parts(message)]),
      ...this.session.stray().flatMap(parts),
      ...(models.length ? [{ type: 'model', data: models }] : []),
      ...(diffs ? [{ type: 'session_diff', data: diffs }] : []),
    ]
  }

  async close() {
    this.connection.stop()
    await this.running
  }
}
