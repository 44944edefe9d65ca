// Work away from the page: one job at a time, each with a deadline, and none takes another along.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Offload } from '../../viewer/offload.js'

/** A worker that answers as its job says: at once, never, by failing, or late to begin. */
class FakeWorker {
  static made = []
  ended = false

  constructor() {
    FakeWorker.made.push(this)
  }

  postMessage({ input: [how] }) {
    const say = (data) => queueMicrotask(() => this.ended || this.onmessage({ data }))
    if (how === 'fails') return queueMicrotask(() => this.onerror({}))
    if (how !== 'loads') say({ begun: true })
    if (how === 'loads') {
      setTimeout(() => {
        say({ begun: true })
        say({ result: how })
      }, 30)
    } else if (how !== 'hangs') say({ result: how })
  }

  terminate() {
    this.ended = true
  }
}

test('jobs are done in turn; one that hangs or fails is ended with its worker, and the next are done', async () => {
  FakeWorker.made = []
  const offload = new Offload(() => new FakeWorker(), 10)
  const results = await Promise.all(['a', 'hangs', 'b', 'fails', 'loads', 'c'].map((how) => offload.run('kind', how)))
  assert.deepEqual(results, ['a', undefined, 'b', undefined, 'loads', 'c'])
  assert.deepEqual(
    FakeWorker.made.map(({ ended }) => ended),
    [true, true, false],
  )
})

test('where there are no workers nothing is made, and nothing hangs', async () => {
  const offload = new Offload(() => {
    throw new Error('refused')
  })
  assert.deepEqual(await Promise.all([offload.run('kind', 'a'), offload.run('kind', 'b')]), [undefined, undefined])
})
