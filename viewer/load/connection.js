// How the session gets here and stays current. Knows no page: it brings the session up to date, and emits events.
//
// One attempt at a time: it loads what is missing by pages of `/items`, which are compressed, and then stays live
// over a WebSocket until something ends it. Everything that an attempt starts is bound to its abort signal: its
// requests are cancelled with it, its socket is closed, its timers stop, and a handler that still runs does nothing.
// So there is never a second socket, and an event can at most end the attempt under way or shorten the delay before
// the next.

import { Locked, Over, ask, isItemsFrame, isSummary, parsed } from './answers.js'

/** Times in milliseconds. */
const TIMING = {
  // The delay after a failed attempt: it begins with `minDelay` and doubles with each failure.
  minDelay: 500,
  maxDelay: 15_000,
  // The shortest delay after the server has asked to come back later.
  busyDelay: 5000,
  // A request, or a socket that is not live yet, over which nothing comes for this long is given up.
  idleTimeout: 30_000,
}

// PROTOCOL.md, "Close codes".
const TRY_AGAIN_LATER = 1013
const GONE = 4410

/** Why an attempt ended. Events do not shorten a `fixed` delay. */
class Interrupted extends Error {
  constructor(message, { minDelay = 0, fixed = false } = {}) {
    super(message)
    this.minDelay = minDelay
    this.fixed = fixed
  }
}

/**
 * Emits `state` (`loading`, `live`, `reconnecting`, `offline`, `locked` until `unlock` is called, and the states of
 * `Over`), `change` (what `Session.apply` returned), `viewers` (their count) and `summary` (what the server says of the
 * share as a whole).
 */
export class Connection extends EventTarget {
  #url
  #session
  #environment
  #timing
  #opener
  #state
  // The attempt under way.
  #attempt
  // Shortens the delay before the next attempt; only there during one.
  #hurry
  // Ends the wait for a password.
  #unlocked
  #stopped = false

  /**
   * `url` is the share's in the API. `environment` is what this runs in: `online`, `now()`, `after(ms, action)`
   * (returns what cancels it), `fetch`, `WebSocket`, and the events `online`, `offline`, `front` (the page became
   * visible) and `woke` (the machine was suspended). `opener` (load/opener.js) opens what comes where the link has a
   * key.
   */
  constructor(url, session, environment, timing = {}, opener) {
    super()
    this.#url = url
    this.#session = session
    this.#environment = environment
    this.#timing = { ...TIMING, ...timing }
    this.#opener = opener
  }

  get state() {
    return this.#state
  }

  /** Loads everything and stays live. Resolves when the share is over, or after `stop`. */
  async start() {
    this.#setState('loading')
    const unsubscribe = this.#subscribe()
    let failures = 0
    while (!this.#stopped) {
      const { reason, livedFor } = await this.#runAttempt()
      if (this.#stopped) break
      if (reason instanceof Over) {
        this.#setState(reason.state)
        break
      }
      if (reason instanceof Locked) {
        const unlocked = new Promise((resolve) => (this.#unlocked = resolve))
        this.#setState('locked')
        await unlocked
        continue
      }
      this.#setState(this.#disconnected)
      if (livedFor > this.#timing.maxDelay) failures = 0
      await this.#delay(failures++, reason)
    }
    unsubscribe()
  }

  stop() {
    this.#stopped = true
    this.#attempt?.end()
    this.#hurry?.(0)
    this.unlock()
  }

  /** Goes on once the server lets this browser in. */
  unlock() {
    this.#unlocked?.()
  }

  /** Follows the environment's events. None of them does anything to an attempt that is loading or connecting. */
  #subscribe() {
    const handlers = {
      offline: () => {
        if (this.#hurry) this.#setState('offline')
        if (this.#attempt?.liveSince) this.#attempt.end()
      },
      online: () => this.#retrySoon(),
      front: () => this.#retrySoon(),
      // The socket may be dead, and no close event says so.
      woke: () => (this.#attempt?.liveSince ? this.#attempt.end() : this.#retrySoon()),
    }
    for (const [name, handler] of Object.entries(handlers)) this.#environment.addEventListener(name, handler)
    return () => {
      for (const [name, handler] of Object.entries(handlers)) this.#environment.removeEventListener(name, handler)
    }
  }

  #retrySoon() {
    if (this.#hurry) this.#setState(this.#disconnected)
    this.#hurry?.()
    this.refresh()
  }

  get #disconnected() {
    return this.#environment.online ? 'reconnecting' : 'offline'
  }

  /** One attempt, until it ends: why, and for how long it was live. */
  async #runAttempt() {
    const controller = new AbortController()
    const attempt = {
      signal: controller.signal,
      end: (reason) => controller.abort(reason ?? new Interrupted('interrupted')),
      liveSince: 0,
      heardAt: 0,
      refreshedAt: -Infinity,
    }
    this.#attempt = attempt
    let reason
    try {
      await this.#load(attempt.signal)
      await this.#stayLive(attempt)
    } catch (error) {
      reason = error
      if (error instanceof Locked && !this.#opener)
        await this.#lookAtLock(attempt.signal).catch((why) => (reason = why))
    }
    this.#attempt = undefined
    attempt.end()
    return { reason, livedFor: attempt.liveSince && this.#environment.now() - attempt.liveSince }
  }

  /** A sealed share may be locked too: without its key no password helps. */
  async #lookAtLock(signal) {
    const { sealed } = await this.#ask('', signal)
    if (sealed) throw new Over('keyless')
  }

  async #load(signal) {
    const page = (position) => {
      const asked = this.#ask(`/items${query(position)}`, signal)
      // Nobody waits for it any more when what came before it is not taken.
      asked.catch(() => {})
      return asked
    }
    let position = this.#session.position
    let coming = page(position)
    await this.#opener?.begin(() => this.#ask('', signal))
    for (let more = true; more;) {
      const frame = await coming
      signal.throwIfAborted()
      if (!isItemsFrame(frame)) throw new Interrupted('not a page of items')
      const { epoch, seq } = frame
      if (frame.more && epoch === position?.epoch && seq === position.seq)
        throw new Interrupted('a page without progress')
      more = frame.more
      position = { epoch, seq }
      // It comes while this one is taken in and drawn.
      if (more) coming = page(position)
      await this.#apply(frame, signal)
      // Yields, so that the browser can draw what came.
      await new Promise((resolve) => setTimeout(resolve))
      signal.throwIfAborted()
    }
  }

  /** Connects and stays live. Never resolves: it rejects when the attempt ends. */
  #stayLive(attempt) {
    const { signal } = attempt
    return new Promise((_, reject) => {
      const url = new URL(`${this.#url}/poll${query(this.#session.position)}`)
      url.searchParams.set('append', '1')
      url.protocol = url.protocol.replace('http', 'ws')
      const socket = new this.#environment.WebSocket(url)
      const idle = this.#idleTimer(() => attempt.end())
      signal.addEventListener('abort', () => {
        idle.stop()
        socket.close()
        reject(signal.reason)
      })
      // Every error is followed by a close.
      socket.onerror = () => {}
      // One after the other, for opening what came takes its time.
      let turn = Promise.resolve()
      const inTurn = (work) => (turn = turn.then(() => signal.aborted || work()).catch(attempt.end))
      socket.onmessage = ({ data }) => {
        if (signal.aborted) return
        attempt.heardAt = this.#environment.now()
        idle.restart()
        inTurn(async () => {
          await this.#receive(parsed(data), attempt)
          if (attempt.liveSince) idle.stop()
        })
      }
      const closed = ({ code }) => {
        if (code === GONE) attempt.end(new Over('deleted'))
        else if (code === TRY_AGAIN_LATER) {
          attempt.end(new Interrupted('the server is busy', { minDelay: this.#timing.busyDelay, fixed: true }))
        } else attempt.end()
      }
      socket.onclose = (event) => inTurn(() => closed(event))
    })
  }

  async #receive(frame, attempt) {
    if (frame === undefined) throw new Interrupted('not JSON')
    switch (frame?.type) {
      case 'items':
        if (!isItemsFrame(frame)) throw new Interrupted('not a frame')
        await this.#apply(frame, attempt.signal)
        if (frame.more || attempt.liveSince) return
        attempt.liveSince = this.#environment.now()
        this.#setState('live')
        break
      case 'viewers':
        if (Number.isSafeInteger(frame.count)) this.#emit('viewers', frame.count)
        break
      case 'closed':
        throw new Over(frame.reason === 'expired' ? 'expired' : 'deleted')
    }
  }

  async #apply(frame, signal) {
    if (!this.#opener) {
      if (frame.items.some(({ type }) => type === 'sealed')) throw new Over('keyless')
      return this.#take(frame)
    }
    const opened = await this.#opener.open(frame, this.#session.position)
    for (const step of stepsOf(opened, this.#session.position)) {
      signal.throwIfAborted()
      this.#take(step)
      if (step !== opened) await new Promise((resolve) => setTimeout(resolve))
    }
  }

  #take(frame) {
    const change = this.#session.apply(frame)
    // Everything is loaded anew by the next attempt. The delay before it is fixed, so that a server whose frames never
    // fit is asked less and less often.
    if (change.lost) throw new Interrupted('a frame does not fit', { fixed: true })
    this.#emit('change', change)
  }

  /**
   * Asks for the share's summary: when it ends, and whether the server has more than what came here. When that does
   * not come, the socket is dead without a close, and is replaced. Does nothing while not live, or soon after the
   * last time.
   */
  async refresh() {
    const attempt = this.#attempt
    const now = this.#environment.now()
    if (!attempt?.liveSince || now - attempt.refreshedAt < this.#timing.maxDelay) return
    attempt.refreshedAt = now
    let summary
    try {
      summary = await this.#ask('', attempt.signal)
    } catch (error) {
      if (error instanceof Over) attempt.end(error)
      return
    }
    if (attempt.signal.aborted || !isSummary(summary)) return
    if (summary.sealed && !this.#opener) return attempt.end(new Over('keyless'))
    this.#emit('summary', summary)
    const behind = () => this.#session.position?.seq < summary.seq
    if (!behind()) return
    const askedAt = this.#environment.now()
    const cancel = this.#environment.after(this.#timing.idleTimeout, () => {
      if (behind() && attempt.heardAt <= askedAt) attempt.end()
    })
    attempt.signal.addEventListener('abort', cancel)
  }

  /** What a share server answers to a GET of a path below the share's. */
  async #ask(path, signal) {
    signal.throwIfAborted()
    const request = new AbortController()
    const cancel = () => request.abort(signal.reason)
    signal.addEventListener('abort', cancel)
    const idle = this.#idleTimer(() => request.abort(new Interrupted('no answer')))
    try {
      return await ask(this.#environment.fetch, this.#url + path, request.signal, idle.restart)
    } finally {
      idle.stop()
      signal.removeEventListener('abort', cancel)
    }
  }

  /** Calls `expired` when it was not restarted for `idleTimeout`. */
  #idleTimer(expired) {
    const begin = () => this.#environment.after(this.#timing.idleTimeout, expired)
    let cancel = begin()
    return {
      restart() {
        cancel()
        cancel = begin()
      },
      stop() {
        cancel()
      },
    }
  }

  /** Waits before the next attempt. */
  #delay(failures, { minDelay = 0, fixed = false }) {
    const timing = this.#timing
    const environment = this.#environment
    const backoff = Math.min(timing.maxDelay, timing.minDelay * 2 ** failures)
    // Jitter: the viewers of a server that restarts do not come back all at once.
    const ms = Math.max(2 * minDelay, backoff) * (0.5 + Math.random() / 2)
    return new Promise((resolve) => {
      const began = environment.now()
      const done = () => {
        this.#hurry = undefined
        resolve()
      }
      let cancel = environment.after(ms, done)
      // Not below half of `minDelay` in all: events in quick succession do not become requests in quick succession.
      this.#hurry = (atMost = fixed ? ms : timing.minDelay / 2) => {
        cancel()
        cancel = environment.after(Math.max(0, Math.min(ms, atMost) - (environment.now() - began)), done)
      }
    })
  }

  #setState(state) {
    if (state === this.#state) return
    this.#state = state
    this.#emit('state', state)
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }
}

// Items that are taken in at once: what is sealed is small on its way, so that many come in one frame.
const STEP = 400

/** A frame in steps. Until the last is taken in the position stays that of what was there before. */
function stepsOf(frame, position) {
  const { items, epoch } = frame
  const seq = position?.epoch === epoch ? position.seq : 0
  const steps = []
  for (let at = 0; at + STEP < items.length; at += STEP)
    steps.push({ ...frame, seq, items: items.slice(at, at + STEP), removed: [], more: true })
  return [...steps, steps.length ? { ...frame, items: items.slice(steps.length * STEP) } : frame]
}

/** The query of what is newer than a position. With `order` items say at which place they first came. */
const query = (position) =>
  position ? `?order=1&after=${position.seq}&epoch=${encodeURIComponent(position.epoch)}` : '?order=1'
