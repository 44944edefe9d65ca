// How the session gets here: first by pages of `/items`, which are compressed, then live. Knows no page: it gives frames
// and states to whoever made it.

const FIRST_DELAY = 500
const MAX_DELAY = 15_000
// A timer that comes this much too late has slept, and its socket may be dead without anybody having said so.
const SLEPT = 20_000

export class Connection extends EventTarget {
  #base
  #position
  #socket
  #failures = 0
  #timer
  #done = false

  /** `position()` gives the epoch and seq that are held. */
  constructor(id, position) {
    super()
    this.#base = `/api/share/${encodeURIComponent(id)}`
    this.#position = position
  }

  /** Loads everything, then goes live. */
  async start() {
    this.#say('loading')
    let last = Date.now()
    setInterval(() => {
      if (Date.now() - last > SLEPT) this.#again()
      last = Date.now()
    }, 5000)
    addEventListener('online', () => this.#again())
    addEventListener('offline', () => {
      this.#socket?.close()
      this.#say('offline')
    })
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.#socket?.readyState !== WebSocket.OPEN) this.#again()
    })
    await this.#load()
  }

  /** When the share ends by itself, in milliseconds since 1970; nothing when it does not, or when nobody says. */
  async ends() {
    const answer = await fetch(this.#base, { cache: 'no-store' }).catch(() => undefined)
    return answer?.ok ? ((await answer.json()).expiresAt ?? undefined) : undefined
  }

  async #load() {
    try {
      for (let more = true; more; ) {
        const answer = await fetch(`${this.#base}/items${this.#query()}`, { cache: 'no-store' })
        if (answer.status === 404) return this.#end('deleted')
        if (!answer.ok) throw new Error(`${answer.status}`)
        const frame = await answer.json()
        this.#give('frame', frame)
        more = frame.more
        // Between two pages the browser gets to show what came.
        await new Promise((resolve) => setTimeout(resolve))
      }
    } catch {
      this.#retry(() => this.#load())
      return
    }
    this.#failures = 0
    this.#connect()
  }

  #connect() {
    const url = new URL(this.#base + '/poll' + this.#query(), location.href)
    url.searchParams.set('append', '1')
    url.protocol = url.protocol.replace('http', 'ws')
    const socket = new WebSocket(url)
    this.#socket = socket
    let gone
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data)
      if (frame.type === 'items') {
        this.#failures = 0
        this.#give('frame', frame)
        if (!frame.more) this.#say('live')
      } else if (frame.type === 'viewers') {
        this.#give('viewers', frame.count)
      } else if (frame.type === 'closed') {
        gone = frame.reason
      }
    }
    socket.onclose = async ({ code }) => {
      if (this.#socket !== socket) return
      if (gone || code === 4410) return this.#end(gone ?? 'deleted')
      this.#say(navigator.onLine ? 'reconnecting' : 'offline')
      // A refused upgrade does not say why: ask.
      const answer = await fetch(this.#base, { cache: 'no-store' }).catch(() => undefined)
      if (this.#socket !== socket) return
      if (answer?.status === 404) return this.#end('deleted')
      this.#retry(() => this.#connect())
    }
  }

  /** Loads everything anew: what is held turned out to be wrong. */
  restart() {
    const old = this.#socket
    this.#socket = undefined
    old?.close()
    clearTimeout(this.#timer)
    this.#say('reconnecting')
    this.#load()
  }

  /** Starts over from the position that is held: the network came back, or the machine has slept. */
  #again() {
    if (this.#done || !this.#position().epoch) return
    const old = this.#socket
    this.#socket = undefined
    old?.close()
    clearTimeout(this.#timer)
    this.#say('reconnecting')
    this.#connect()
  }

  #retry(step) {
    if (this.#done) return
    this.#say(navigator.onLine ? 'reconnecting' : 'offline')
    const delay = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.#failures++)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(step, delay * (0.5 + Math.random() / 2))
  }

  #end(state) {
    this.#done = true
    this.#say(state)
  }

  #query() {
    const { epoch, seq } = this.#position()
    return epoch ? `?after=${seq}&epoch=${encodeURIComponent(epoch)}` : ''
  }

  #say(state) {
    this.#give('state', state)
  }

  #give(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }
}
