// Something that changes, and that a test waits for without looking at a clock.

import { EventEmitter, once } from 'node:events'

import { PATIENCE } from './process.mjs'

export class Changing extends EventEmitter {
  changes = 0

  changed() {
    this.changes += 1
    this.emit('change')
  }

  /** Waits, by events, until it is in a state. `done` may take its time: a change meanwhile is not missed. */
  async until(what, done) {
    const signal = AbortSignal.timeout(PATIENCE)
    for (;;) {
      const seen = this.changes
      if (await done(this)) return
      if (seen !== this.changes) continue
      await once(this, 'change', { signal }).catch(() => {
        throw new Error(`never: ${what}; ${this.situation ?? ''}`)
      })
    }
  }
}
