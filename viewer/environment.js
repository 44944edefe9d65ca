// The browser that a connection runs in: whether there is a network, whether anybody looks, and whether the machine
// slept.

const TICK = 5000
// Timers of a page in the background come once a minute. A longer gap between two ticks was sleep.
const SLEPT = 90_000

/** Events: `online`, `offline`, `front` (the page is looked at again), `woke` (the machine, or the page, has slept). */
export class Environment extends EventTarget {
  WebSocket = WebSocket
  fetch = (...request) => fetch(...request)
  now = () => Date.now()
  #ticked = Date.now()

  constructor() {
    super()
    for (const name of ['online', 'offline']) addEventListener(name, () => this.dispatchEvent(new Event(name)))
    document.addEventListener('visibilitychange', () => {
      this.#tick()
      if (!document.hidden) this.dispatchEvent(new Event('front'))
    })
    setInterval(() => this.#tick(), TICK)
  }

  get online() {
    return navigator.onLine
  }

  /** Does something later; gives what cancels it. */
  after(ms, action) {
    const timer = setTimeout(action, ms)
    return () => clearTimeout(timer)
  }

  #tick() {
    const slept = this.now() - this.#ticked > SLEPT
    this.#ticked = this.now()
    if (slept) this.dispatchEvent(new Event('woke'))
  }
}
