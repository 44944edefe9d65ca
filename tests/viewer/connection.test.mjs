// What the page loads stays what the server has, whatever stands between the two and whatever happens to the browser.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import { answer, prompt, session, text } from '../lib/items.mjs'
import { shareLarge } from '../lib/large.mjs'
import { Proxy } from '../lib/proxy.mjs'
import { Reader } from '../lib/reader.mjs'
import { Server } from '../lib/server.mjs'

const PAGES = /\/items/
const SOCKETS = /\/poll/

const server = await Server.start()
after(() => server.close())

/** A part of an answer that is being written. */
const streamed = (words, id = 'prt_9') => ({
  type: 'part',
  data: { id, messageID: 'msg_9', type: 'text', text: words },
})
const MESSAGE = { type: 'message', data: { id: 'msg_9', role: 'assistant', time: { created: 9 } } }

/** A small share behind a proxy, and a reader of it. */
async function scene(use, { from = server, timing } = {}) {
  const share = await from.share()
  await share.sync(session(), ...prompt('Tell me'), ...answer([text('Once')]), MESSAGE, streamed('One'))
  await within(from, share, use, timing)
}

async function within(from, share, use, timing) {
  const proxy = await Proxy.start(from.url)
  const reader = new Reader(proxy.url, share.id, timing)
  try {
    await use({ share, proxy, reader, world: reader.world })
  } finally {
    await reader.close()
    await proxy.close()
  }
}

/** Waits until the reader is live and holds what the server has. */
const current = (reader, share) =>
  reader.until('holds what the server has', async () => {
    if (reader.state !== 'live') return false
    const stored = await share.data()
    return JSON.stringify(stored) === JSON.stringify(reader.data)
  })

/** Waits until so many more requests have come to a proxy. */
async function asked(proxy, reader, more) {
  const enough = proxy.requests.length + more
  const decide = proxy.answer
  proxy.answer = (request) => {
    reader.changed()
    return decide(request)
  }
  await reader.until(`asks ${more} times more`, () => proxy.requests.length >= enough)
  proxy.answer = decide
}

test('coming to the front and online while it loads costs nothing', async () => {
  const share = await shareLarge(server, 1000, 7 << 20)
  await within(server, share, async ({ proxy, reader, world }) => {
    await share.sync(MESSAGE, streamed('One'))
    let loaded = 0
    proxy.answer = ({ path }) => {
      if (PAGES.test(path) && (loaded += 1) > 2)
        for (const name of ['online', 'front', 'online', 'woke']) world.happens(name)
      if (SOCKETS.test(path)) world.happens('front')
    }
    await reader.live()
    const pages = proxy.count(PAGES)
    assert.ok(pages >= 7, `${pages} pages`)
    let words = 'One'
    for (let at = 0; at < 20; at++) {
      words += ` word ${at}`
      await share.sync(streamed(words))
      await reader.until(
        'the word',
        () => reader.session.partsOf(reader.session.ordered().find(({ id }) => id === 'msg_9'))[0].text === words,
      )
    }
    assert.deepEqual(
      {
        restarts: reader.restarts,
        pages: proxy.count(PAGES) - pages,
        sockets: proxy.count(SOCKETS),
        open: proxy.open,
        states: reader.states,
      },
      { restarts: 0, pages: 0, sockets: 1, open: 1, states: ['loading', 'live'] },
    )
    assert.deepEqual(reader.data, await share.data())
  })
})

// Made by a share server, but for another request or with another status, each is still no word about this share.
const REFUSAL = JSON.stringify({ error: { code: 'no_such_share', message: 'there is no such share' } })
const OTHER = JSON.stringify({ error: { code: 'no_such_path', message: 'there is nothing at this path' } })
const FRAME = JSON.stringify({ type: 'items', epoch: 'e', seq: 1, items: [], removed: [], more: false })
const PAGE = '<!doctype html><title>Log in</title><p>Log in to go on.</p>'

const LIES = {
  'a router that has no backend': { status: 404, type: 'text/plain', body: '404 page not found' },
  'a 404 as JSON': { status: 404, type: 'application/json', body: '{"message":"not found"}' },
  'a 404 with an error that is a text': { status: 404, type: 'application/json', body: '{"error":"no_such_share"}' },
  'a 404 of a share server that does not know the path': { status: 404, type: 'application/json', body: OTHER },
  'a 404 whose page never ends': { status: 404, type: 'text/html', body: PAGE.repeat(10_000) },
  'the right code with a 403': { status: 403, type: 'application/json', body: REFUSAL },
  'the right code with a 410': { status: 410, type: 'application/json', body: REFUSAL },
  'the right code with a 200': { status: 200, type: 'application/json', body: REFUSAL },
  'a page to log in': { status: 200, type: 'text/html', body: PAGE },
  'an object': { status: 200, type: 'application/json', body: '{}' },
  'an array': { status: 200, type: 'application/json', body: '[]' },
  'a null': { status: 200, type: 'application/json', body: 'null' },
  'a frame without its items': {
    status: 200,
    type: 'application/json',
    body: '{"type":"items","epoch":"e","seq":1,"more":false}',
  },
  'a frame with items of another shape': {
    status: 200,
    type: 'application/json',
    body: FRAME.replace('"items":[]', '"items":[{"id":1}]'),
  },
  'a frame that is cut short': { status: 200, type: 'application/json', body: FRAME.slice(0, -7) },
  'a connection that breaks in its answer': {
    status: 200,
    type: 'application/json',
    headers: { 'content-length': '1000' },
    body: FRAME,
    breaks: true,
  },
  'nothing with a 200': { status: 200, body: '' },
  'nothing with a 204': { status: 204 },
  'a page that was not modified': { status: 304 },
  'a firewall': { status: 403, type: 'text/html', body: PAGE },
  'a proxy that wants a password': { status: 401, type: 'text/html', body: PAGE },
  'a proxy that is too busy': { status: 429, headers: { 'retry-after': '1' } },
  'a bad gateway': { status: 502, type: 'text/html', body: PAGE },
  'a service that is away': { status: 503, headers: { 'retry-after': '1' } },
  'a broken connection': { cut: true },
  ...Object.fromEntries(
    [301, 302, 303, 307, 308].map((status) => [`a redirect ${status}`, { status, elsewhere: true }]),
  ),
}

for (const [name, { elsewhere, ...lie }] of Object.entries(LIES)) {
  test(`${name} is not believed: it reconnects, keeps what it has, and comes back`, () =>
    scene(async ({ share, proxy, reader, world }) => {
      await current(reader, share)
      const held = structuredClone(reader.data)
      const other = await Proxy.start(server.url)
      other.answer = () => ({ status: 200, type: 'application/json', body: FRAME })
      if (elsewhere) lie.headers = { location: `${other.url}/api/share/${share.id}/items` }
      try {
        proxy.answer = () => lie
        proxy.cut()
        await reader.until('reconnecting', () => reader.state === 'reconnecting')
        await share.sync(streamed('One and two'), ...prompt('Meanwhile'))
        await asked(proxy, reader, 4)
        world.happens('front')
        await asked(proxy, reader, 2)
        assert.deepEqual(reader.data, held)
        proxy.answer = () => undefined
        await current(reader, share)
        assert.deepEqual(reader.states, ['loading', 'live', 'reconnecting', 'live'])
        assert.deepEqual([world.open, proxy.open, world.most, other.requests.length], [1, 1, 1, 0])
      } finally {
        await other.close()
      }
    }))
}

test('what is not believed later is not believed at first either, nor between two pages', async () => {
  const share = await shareLarge(server, 200, 2 << 20)
  for (const [name, { elsewhere, ...lie }] of Object.entries(LIES)) {
    if (elsewhere) continue
    let lies = 3
    await within(server, share, async ({ proxy, reader }) => {
      proxy.answer = () => (proxy.count(PAGES) !== 1 && lies-- > 0 ? lie : undefined)
      await current(reader, share)
      assert.deepEqual([reader.states, reader.restarts], [['loading', 'reconnecting', 'live'], 0], name)
    })
  }
})

test('a share that was deleted while it was away ends it: the server says so itself', () =>
  scene(async ({ share, proxy, reader }) => {
    await current(reader, share)
    const held = structuredClone(reader.data)
    proxy.answer = () => LIES['a bad gateway']
    proxy.cut()
    await reader.until('reconnecting', () => reader.state === 'reconnecting')
    await share.delete()
    await asked(proxy, reader, 2)
    proxy.answer = () => undefined
    await reader.until('deleted', () => reader.state === 'deleted')
    await reader.running
    assert.deepEqual([reader.data, reader.world.open], [held, 0])
  }))

test('a share that is deleted while it is live ends it', () =>
  scene(async ({ share, reader }) => {
    await current(reader, share)
    await share.delete()
    await reader.until('deleted', () => reader.state === 'deleted')
    await reader.running
  }))

const ENDS = {
  'the close code 4410 alone': [(socket) => socket.close(4410), 'deleted'],
  'the frame that says deleted': [(socket) => socket.send('{"type":"closed","reason":"deleted"}'), 'deleted'],
  'the frame that says expired': [(socket) => socket.send('{"type":"closed","reason":"expired"}'), 'expired'],
}
for (const [name, [end, state]] of Object.entries(ENDS)) {
  test(`${name} ends it`, () =>
    scene(async ({ proxy, reader, world }) => {
      proxy.answer = ({ upgrade }) => upgrade && { websocket: end }
      await reader.until(state, () => reader.state === state)
      await reader.running
      assert.equal(world.open, 0)
      for (const name of ['online', 'front', 'woke']) world.happens(name)
      assert.deepEqual([world.open, reader.state], [0, state])
    }))
}

for (const code of [1000, 1001, 1002, 1003, 1009, 1011, 1012, 1013, undefined]) {
  test(`the close code ${code ?? 'of a broken connection'} brings it back`, () =>
    scene(async ({ share, proxy, reader, world }) => {
      let closes = 3
      proxy.answer = ({ upgrade }) =>
        upgrade && closes-- > 0
          ? { websocket: (socket) => (code ? socket.close(code) : socket.terminate()) }
          : undefined
      await current(reader, share)
      assert.deepEqual([reader.states, world.open, world.pauses.length], [['loading', 'reconnecting', 'live'], 1, 3])
      // 1013 asks to come back later, and nothing makes that sooner.
      if (code === 1013) assert.ok(Math.min(...world.pauses) >= 60, `${world.pauses}`)
    }))
}

test('frames that are none are not believed', async () => {
  for (const said of [
    '<html>',
    '',
    '{"type":"items"}',
    FRAME.replace('"seq":1', '"seq":-1'),
    FRAME.replace('"e"', '""'),
  ]) {
    await scene(async ({ share, proxy, reader }) => {
      let lies = 2
      proxy.answer = ({ upgrade }) => (upgrade && lies-- > 0 ? { websocket: (socket) => socket.send(said) } : undefined)
      await current(reader, share)
      assert.equal(reader.restarts, 0, said)
    })
  }
})

test('frames of a kind that nobody knows yet change nothing', () =>
  scene(async ({ proxy, reader, world }) => {
    proxy.answer = ({ upgrade }) =>
      upgrade && {
        websocket: (socket) => {
          for (const said of ['{"type":"weather"}', '{"type":"viewers","count":"many"}', 'null', '7', FRAME])
            socket.send(said)
        },
      }
    await reader.live()
    assert.equal(world.sockets.length, 1)
  }))

test('a text that grew while it was away is whole when it is back', () =>
  scene(async ({ share, proxy, reader }) => {
    await current(reader, share)
    let words = 'One'
    for (let round = 0; round < 5; round++) {
      proxy.cut()
      await reader.until('away', () => reader.state !== 'live')
      await share.sync(streamed((words += ` and ${round}`)))
      await current(reader, share)
      await share.sync(streamed((words += ', live')))
      await current(reader, share)
    }
    assert.equal(reader.restarts, 0)
  }))

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`a server that ends by ${signal} and starts again is found again`, async () => {
    const own = await Server.start()
    try {
      await scene(
        async ({ share, proxy, reader, world }) => {
          await current(reader, share)
          await own.stop(signal)
          await reader.until('reconnecting', () => reader.state === 'reconnecting')
          await own.restart()
          await share.sync(streamed('One two'), ...prompt('After'))
          await current(reader, share)
          assert.deepEqual([world.open, proxy.open, world.most], [1, 1, 1])
        },
        { from: own },
      )
    } finally {
      await own.close()
    }
  })
}

test('a network that is away is said, and its return is used at once', () =>
  scene(
    async ({ share, proxy, reader, world }) => {
      await current(reader, share)
      proxy.answer = () => ({ cut: true })
      world.happens('offline')
      await reader.until('offline', () => reader.state === 'offline')
      assert.equal(world.open, 0)
      await share.sync(streamed('One two'))
      await asked(proxy, reader, 2)
      proxy.answer = () => undefined
      // Its next attempt would be in an hour.
      world.happens('online')
      await current(reader, share)
      assert.deepEqual(
        reader.states.filter((state, at) => state !== reader.states[at - 1]),
        ['loading', 'live', 'offline', 'reconnecting', 'live'],
      )
    },
    { timing: { minDelay: 4, maxDelay: 3_600_000 } },
  ))

test('what makes it try sooner does not make it try more than once in a moment', () =>
  scene(
    async ({ share, proxy, reader, world }) => {
      await current(reader, share)
      proxy.answer = () => LIES['a bad gateway']
      proxy.cut()
      await reader.until('reconnecting', () => reader.state === 'reconnecting')
      const before = proxy.requests.length
      const began = performance.now()
      for (let at = 0; at < 50; at++) {
        for (const name of ['online', 'front', 'woke']) world.happens(name)
        await new Promise(setImmediate)
      }
      const most = 1 + (performance.now() - began) / 100
      assert.ok(proxy.requests.length - before <= most, `${proxy.requests.length - before} requests`)
    },
    { timing: { minDelay: 200, maxDelay: 3_600_000 } },
  ))

test('a socket that may have died in its sleep is replaced', () =>
  scene(async ({ share, proxy, reader, world }) => {
    await current(reader, share)
    world.happens('woke')
    await reader.until('reconnecting', () => reader.state === 'reconnecting')
    await share.sync(streamed('One two'))
    await current(reader, share)
    assert.deepEqual([proxy.count(SOCKETS), proxy.open, world.open], [2, 1, 1])
  }))

test('a socket over which nothing comes any more is noticed and replaced', () =>
  scene(
    async ({ share, proxy, reader, world }) => {
      let deaf = 1
      proxy.answer = ({ upgrade }) =>
        upgrade && deaf-- > 0
          ? {
              websocket: (socket) =>
                socket.send(
                  JSON.stringify({ ...reader.session.position, type: 'items', items: [], removed: [], more: false }),
                ),
            }
          : undefined
      await reader.live()
      await share.sync(streamed('One two'))
      world.happens('front')
      await current(reader, share)
      assert.deepEqual([proxy.count(SOCKETS), proxy.open, world.open, reader.restarts], [2, 1, 1, 0])
    },
    { timing: { idleTimeout: 200 } },
  ))

test('a socket that is quiet because nothing happens stays', () =>
  scene(
    async ({ share, proxy, reader, world }) => {
      await current(reader, share)
      for (let at = 0; at < 3; at++) {
        world.happens('front')
        world.happens('online')
      }
      await reader.until('the summary came', () => proxy.count(/\/api\/share\/\w+$/) > 0)
      await share.sync(streamed('One two'))
      await current(reader, share)
      assert.deepEqual([proxy.count(SOCKETS), proxy.count(PAGES), reader.states], [1, 1, ['loading', 'live']])
    },
    { timing: { maxDelay: 3_600_000 } },
  ))

test('a request that is never answered, and an upgrade after which nothing comes, are given up', () =>
  scene(
    async ({ share, proxy, reader, world }) => {
      let holds = 2
      proxy.answer = ({ upgrade }) => {
        if (holds-- <= 0) return undefined
        return upgrade ? { websocket: () => {} } : new Promise(() => {})
      }
      await current(reader, share)
      holds = 1
      proxy.cut()
      await reader.until('reconnecting', () => reader.state === 'reconnecting')
      await current(reader, share)
      assert.deepEqual([world.open, world.most], [1, 1])
    },
    { timing: { idleTimeout: 200 } },
  ))

test('it says when the share ends, and a lie does not take that back', async () => {
  const { json } = await server.request('POST', '/api/share', { sessionID: 's', expiresIn: 3600 })
  await within(
    server,
    json,
    async ({ proxy, reader }) => {
      await reader.live()
      await reader.connection.refresh()
      assert.equal(reader.ends, json.expiresAt)
      for (const lie of Object.values(LIES).filter(({ elsewhere }) => !elsewhere)) {
        proxy.answer = () => lie
        const before = proxy.requests.length
        await reader.connection.refresh()
        assert.equal(proxy.requests.length, before + 1)
        assert.deepEqual([reader.ends, reader.state], [json.expiresAt, 'live'])
      }
    },
    { maxDelay: 0 },
  )
})

test('an append that does not fit loads all anew, later and later, and what is shown stays until then', () =>
  scene(async ({ share, proxy, reader, world }) => {
    const stored = await share.data()
    const position = () => reader.session.position
    let storms = 8
    proxy.answer = ({ upgrade }) => {
      if (!upgrade || storms-- <= 0) return undefined
      return {
        websocket: (socket) => {
          const frame = (items) =>
            socket.send(JSON.stringify({ type: 'items', ...position(), items, removed: [], more: false }))
          frame([])
          frame([
            { key: 'session', type: 'session', data: { id: 's', title: 'half of a frame' } },
            { key: 'part/msg_9/prt_9', append: { path: '/text', at: 1, text: 'x' } },
          ])
        },
      }
    }
    const seen = []
    reader.connection.addEventListener('change', () => seen.push(JSON.stringify(reader.data)))
    await reader.until('all storms are over', () => storms < 0 && reader.state === 'live')
    assert.equal(reader.restarts, 8)
    for (const [at, pause] of world.pauses.entries())
      assert.ok(pause >= Math.min(40, 4 * 2 ** at) / 2, `${world.pauses}`)
    assert.deepEqual([...new Set(seen)], [JSON.stringify(stored)])
    assert.equal(proxy.count(PAGES), 9)
  }))

test('an append before it is up to date is refused, even where the lengths are equal', () =>
  scene(async ({ share, proxy, reader }) => {
    let lies = 1
    proxy.answer = ({ upgrade }) => {
      if (!upgrade || lies-- <= 0) return undefined
      return {
        websocket: async (socket) => {
          const { epoch, seq } = reader.session.position
          await share.sync(streamed('Two'), streamed('y', 'prt_8'), streamed('Two!'))
          const frame = (seq, more, item) =>
            socket.send(JSON.stringify({ type: 'items', epoch, seq, items: [item], removed: [], more }))
          frame(seq + 2, true, { key: 'part/msg_9/prt_8', ...streamed('y', 'prt_8') })
          frame(seq + 3, false, { key: 'part/msg_9/prt_9', append: { path: '/text', at: 3, text: '!' } })
        },
      }
    }
    const texts = new Set()
    reader.connection.addEventListener('change', () => {
      const message = reader.session.ordered().find(({ id }) => id === 'msg_9')
      for (const { text } of message ? reader.session.partsOf(message) : []) texts.add(text)
    })
    await current(reader, share)
    assert.equal(reader.restarts, 1)
    assert.deepEqual([...texts].sort(), ['One', 'Two!', 'y'])
  }))

test('a history that was lost is loaded anew, and what is shown stays until that is done', async () => {
  const old = await shareLarge(server, 300, 2 << 20)
  const anew = await shareLarge(server, 400, 3 << 20)
  await within(server, old, async ({ proxy, reader }) => {
    await current(reader, old)
    const held = JSON.stringify(reader.data)
    // As after a restored backup: another epoch under the same address. Its second page is late.
    const { data } = { data: await anew.data() }
    const seen = []
    reader.connection.addEventListener('change', () => seen.push(JSON.stringify(reader.data)))
    const pages = []
    for (let position = '', more = true; more;) {
      const { json } = await server.request('GET', `/api/share/${anew.id}/items${position}`)
      pages.push(JSON.stringify({ ...json, epoch: 'another' }))
      position = `?after=${json.seq}&epoch=${json.epoch}`
      more = json.more
    }
    assert.ok(pages.length > 2)
    let at = 0
    proxy.answer = ({ path, upgrade }) => {
      if (upgrade)
        return {
          websocket: (socket) => socket.send(JSON.stringify({ ...JSON.parse(pages.at(-1)), items: [], removed: [] })),
        }
      if (!PAGES.test(path)) return undefined
      if (at === 1 && proxy.broke !== true) {
        proxy.broke = true
        return { cut: true }
      }
      return { status: 200, type: 'application/json', body: pages[at++] }
    }
    proxy.cut()
    await reader.until('the other history', () => reader.last?.all)
    await reader.live()
    assert.equal(at, pages.length, 'it went on where the connection broke')
    assert.deepEqual([...new Set(seen)], [held, JSON.stringify(data)])
  })
})

/** Numbers that are the same for the same seed (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const SEEDS = process.env.BRUTUS_SEED
  ? [Number(process.env.BRUTUS_SEED)]
  : Array.from({ length: Number(process.env.BRUTUS_SEEDS ?? 40) }, (_, seed) => seed)

const NAME = `whatever happens, in the end there is one socket and all is there (${SEEDS.length} seeds)`
test(NAME, async () => {
  const large = await shareLarge(server, 300, 2 << 20)
  for (const seed of SEEDS) {
    const next = random(seed)
    const pick = (choices) => choices[Math.floor(next() * choices.length)]
    const share = next() < 0.2 ? large : await server.share()
    await share.sync(session({ title: `Seed ${seed}` }), MESSAGE, streamed('0'))
    await within(server, share, async ({ proxy, reader, world }) => {
      const texts = new Map([['prt_9', '0']])
      let held = []
      const release = () => {
        for (const go of held) go()
        held = []
      }
      const deeds = {
        online: () => world.happens('online'),
        offline: () => world.happens('offline'),
        front: () => world.happens('front'),
        woke: () => world.happens('woke'),
        cut: () => proxy.cut(),
        refresh: () => void reader.connection.refresh(),
        lie: () => {
          const { elsewhere, ...lie } = pick(Object.values(LIES))
          proxy.answer = () => (elsewhere ? { cut: true } : lie)
        },
        truth: () => {
          proxy.answer = () => undefined
        },
        hold: () => {
          proxy.answer = () => new Promise((resolve) => held.push(resolve))
        },
        release,
        append: () => {
          const id = pick([...texts.keys()])
          texts.set(id, `${texts.get(id)} ${Math.floor(next() * 1000)}`)
          return share.sync(streamed(texts.get(id), id))
        },
        replace: () => {
          const id = pick(['prt_7', 'prt_8', 'prt_9'])
          texts.set(id, 'x'.repeat(1 + Math.floor(next() * 30)))
          return share.sync(streamed(texts.get(id), id))
        },
        much: () => share.sync(streamed('y'.repeat(90_000), 'prt_5'), streamed('z'.repeat(90_000), 'prt_6')),
        remove: () => {
          texts.delete('prt_8')
          return share.sync({ type: 'part.removed', data: { messageID: 'msg_9', id: 'prt_8' } })
        },
        live: () => {
          deeds.truth()
          release()
          if (!world.online) world.happens('online')
          return reader.live()
        },
        breathe: () => new Promise((resolve) => setTimeout(resolve, Math.floor(next() * 8))),
      }
      const done = []
      try {
        for (let at = 0; at < 30; at++) {
          const name = pick(Object.keys(deeds))
          done.push(name)
          await deeds[name]()
        }
        await deeds.live()
        await current(reader, share)
        await share.sync(streamed('the end', 'prt_9'))
        await current(reader, share)
        assert.deepEqual(
          { open: world.open, most: world.most, restarts: reader.restarts },
          { open: 1, most: 1, restarts: 0 },
        )
      } catch (error) {
        error.message = `BRUTUS_SEED=${seed} after ${done.join(', ')}: ${error.message}`
        throw error
      }
    })
  }
})
