// How a share ends: deleted, or by itself.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'

import { WebSocket } from 'ws'

import { ask, message, part, refusal, session, share, start, testWith } from './target.mjs'

async function isGone(one) {
  for (const path of ['', '/data', '/items'])
    assert.equal(refusal(await one.ask('GET', path)), '404 no_such_share', path)
  assert.equal(refusal(await one.put(session())), '404 no_such_share')
  const page = await ask(one.server, 'GET', `/s/${one.id}`, { headers: { accept: 'text/html' } })
  assert.equal(page.status, 404)
  assert.match(page.headers.get('content-type'), /^text\/html/)
  assert.equal(refusal(await ask(one.server, 'GET', `/s/${one.id}.json`)), '404 no_such_share')
  const socket = new WebSocket(`${one.server.url.replace(/^http/, 'ws')}${one.path}/poll`)
  socket.on('error', () => {})
  const [, answer] = await once(socket, 'unexpected-response')
  assert.equal(answer.statusCode, 404)
  answer.destroy()
}

/** The answer of a delete once it is done: 202 says that it is under way. */
async function removed(one) {
  for (;;) {
    const answer = await one.remove()
    if (answer.status !== 202) return answer
    assert.deepEqual(answer.json, { state: 'deleting' })
  }
}

// At once, for they wait.
describe('a share ends', { concurrency: true }, () => {
  testWith({}, 'a deleted share is gone for everyone, and its viewers are told', async (server) => {
    const one = await share(server)
    await one.put(session(), message('a'), part('a', '1', 'a few words'))
    const viewers = [await one.watch(), await one.watch()]
    for (const viewer of viewers) await viewer.reached(3)
    const { status, json } = await removed(one)
    assert.deepEqual([status, json], [200, {}])
    for (const viewer of viewers) {
      await viewer.ended()
      assert.equal(viewer.code, 4410)
      assert.deepEqual(viewer.frames.at(-1), { type: 'closed', reason: 'deleted' })
    }
    await isGone(one)
    // Again it is answered like the first time; to who has another secret, it is not.
    assert.equal((await removed(one)).status, 200)
    assert.equal(refusal(await one.ask('DELETE', '', { body: { secret: 'another' } })), '401 wrong_secret')
  })

  testWith({}, 'a share that never got a sync can be deleted', async (server) => {
    const one = await share(server)
    assert.equal((await removed(one)).status, 200)
    await isGone(one)
  })

  testWith({}, 'a share ends when its time is over, and its viewers are told', async (server) => {
    const one = await share(server, { expiresIn: 5 })
    await one.put(session())
    const { expiresAt } = (await one.ask('GET', '')).json
    assert.ok(expiresAt > Date.now() && expiresAt <= Date.now() + 5000)
    const viewer = await one.watch()
    await viewer.ended()
    assert.ok(Date.now() >= expiresAt)
    assert.equal(viewer.code, 4410)
    assert.deepEqual(viewer.frames.at(-1), { type: 'closed', reason: 'expired' })
    await isGone(one)
    assert.equal((await removed(one)).status, 200)
  })

  testWith({ unsynced_lifetime: 5 }, 'a share that never gets a sync ends soon', async (server) => {
    const used = await share(server)
    assert.equal((await used.put(session())).status, 200)
    const unused = await share(server)
    assert.ok((await unused.ask('GET', '')).json.expiresAt !== null)
    const viewer = await unused.watch()
    await viewer.ended()
    assert.equal(viewer.frames.at(-1).reason, 'expired')
    await isGone(unused)
    const { title, expiresAt } = (await used.ask('GET', '')).json
    assert.deepEqual([title, expiresAt], ['A session', null])
  })

  testWith({ idle_lifetime: 5 }, 'a sync puts the end of a share off that ends when nobody syncs', async (server) => {
    const one = await share(server)
    await one.put(session())
    const first = (await one.ask('GET', '')).json.expiresAt
    const viewer = await one.watch()
    await viewer.reached(1)
    // As long as the clock says another millisecond.
    while ((await one.ask('GET', '')).json.expiresAt === first) await one.put(session({ title: `${Math.random()}` }))
    const { expiresAt } = (await one.ask('GET', '')).json
    assert.ok(expiresAt > first)
    await viewer.ended()
    assert.ok(Date.now() >= expiresAt)
    assert.equal(viewer.code, 4410)
  })
})

testWith(
  { default_lifetime: 100, max_lifetime: 1000 },
  'a lifetime that is asked for counts up to the longest',
  async (server) => {
    const left = async (asked) => {
      const answer = await ask(server, 'POST', '/api/share', { body: { sessionID: 's', ...asked } })
      return Math.round((answer.json.expiresAt - Date.now()) / 10_000)
    }
    assert.deepEqual([await left({}), await left({ expiresIn: 500 }), await left({ expiresIn: 5000 })], [10, 50, 100])
  },
)

const skip = process.env.BASE_URL ? 'cannot be started again' : false

test('a restart loses nothing: content, position, and what was deleted', { skip }, async (t) => {
  const server = await start()
  t.after(() => server.close())
  const [one, gone] = [await share(server), await share(server)]
  await one.put(session(), part('a', '1'))
  await gone.put(session())
  await removed(gone)
  const before = await one.items()
  await server.stop('SIGTERM')
  await server.restart()
  assert.deepEqual(await one.items(), before)
  await one.put(part('a', '2'))
  assert.deepEqual((await one.items(`?after=${before.seq}&epoch=${before.epoch}`)).items.length, 1)
  await isGone(gone)
  assert.equal((await removed(gone)).status, 200)
})

test('what was acknowledged or shown is there after a kill in the middle of syncs', { skip }, async (t) => {
  const kills = Number(process.env.KILLS ?? 3)
  const server = await start()
  t.after(() => server.close())
  const shares = await Promise.all(Array.from({ length: 4 }, () => share(server)))
  const [acknowledged, shown] = [shares.map(() => new Set()), shares.map(() => new Set())]
  let all = 0
  for (let round = 0; round < kills; round++) {
    const viewers = await Promise.all(shares.map((one) => one.watch()))
    const enough = all + 150
    let stopped = false
    let reached
    const inTheMiddle = new Promise((resolve) => (reached = resolve))
    const clients = shares.flatMap((one, at) =>
      Array.from({ length: 4 }, async (_, client) => {
        for (let count = 0; !stopped; count++) {
          const id = `r${round}-c${client}-${count}`
          const answer = await one.put(part('m', id, 'x'.repeat(500))).catch(() => undefined)
          if (answer?.status !== 200) continue
          acknowledged[at].add(id)
          if (++all === enough) reached()
        }
      }),
    )
    await inTheMiddle
    const killed = server.stop('SIGKILL')
    // Those under way learn of it by what breaks.
    stopped = true
    await Promise.all([killed, ...clients, ...viewers.map((viewer) => viewer.ended())])
    for (const [at, viewer] of viewers.entries()) for (const { id } of viewer.holds.values()) shown[at].add(id)
    await server.restart()
  }
  for (const [at, one] of shares.entries()) {
    const stored = new Set((await one.data()).map(({ data }) => data.id))
    assert.deepEqual(
      [...acknowledged[at]].filter((id) => !stored.has(id)),
      [],
    )
    assert.deepEqual(
      [...shown[at]].filter((id) => !stored.has(id)),
      [],
    )
    // Numbers were given to what is stored alone.
    assert.equal((await one.ask('GET', '')).json.seq, stored.size)
  }
  t.diagnostic(`${kills} kills, ${all} acknowledged, none lost`)
})
