// Work on a stranger's text that may take long, away from the page: a worker does one job at a time, and a job that is
// over its deadline is ended with its worker. What it was to make is not there then, and the plain text stays.

/** Milliseconds that a job may take once it has begun. */
const DEADLINE = 2000

export class Offload {
  #start
  #deadline
  #worker
  #jobs = []
  #current
  #timer

  /** `start` makes a worker, which says `begun` and then what came of it. */
  constructor(start, deadline = DEADLINE) {
    this.#start = start
    this.#deadline = deadline
  }

  /** What a job of a kind makes; nothing when it fails, or is not done in time. */
  run(kind, ...input) {
    return new Promise((resolve) => {
      this.#jobs.push({ kind, input, resolve })
      this.#next()
    })
  }

  #next() {
    if (this.#current || !this.#jobs.length) return
    this.#current = this.#jobs.shift()
    this.#worker ??= this.#begin()
    if (!this.#worker) return this.#done(undefined)
    const { kind, input } = this.#current
    this.#worker.postMessage({ kind, input })
  }

  #begin() {
    let worker
    try {
      worker = this.#start()
    } catch {
      return undefined
    }
    worker.onmessage = ({ data }) => {
      if (worker !== this.#worker) return
      // What it needs is loaded: the time that a network takes is none of the job's.
      if (data.begun) this.#timer = setTimeout(() => this.#fail(), this.#deadline)
      else this.#done(data.result)
    }
    worker.onerror = (event) => {
      event.preventDefault?.()
      if (worker === this.#worker) this.#fail()
    }
    return worker
  }

  #fail() {
    this.#worker.terminate()
    this.#worker = undefined
    this.#done(undefined)
  }

  #done(result) {
    clearTimeout(this.#timer)
    const { resolve } = this.#current
    this.#current = undefined
    resolve(result)
    this.#next()
  }
}

// The page's policy takes a script's address from this one alone, which gives one of our own.
const OWN = new URL('worker.js', import.meta.url).href
const trusted = globalThis.trustedTypes?.createPolicy('viewer', { createScriptURL: () => OWN })

/** The page's. */
export const offload = new Offload(() => new Worker(trusted?.createScriptURL('') ?? OWN, { type: 'module' }))
