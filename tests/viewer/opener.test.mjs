// What comes of a sealed share is what its client sent, or the reader is told: whatever the server, or what stands
// before it, does.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import { Opener } from '../../viewer/load/opener.js'
import { Session } from '../../viewer/load/session.js'
import { answer, prompt, session, text } from '../lib/items.mjs'
import { shareLarge } from '../lib/large.mjs'
import { LyingProxy } from '../lib/lying.mjs'
import { Reader } from '../lib/reader.mjs'
import { SealedShare, randomKey } from '../lib/sealing.mjs'
import { Server } from '../lib/server.mjs'

const server = await Server.start()
after(() => server.close())

const MESSAGE = { type: 'message', data: { id: 'msg_9', role: 'assistant', time: { created: 2e12 } } }
const part = (words, id = 'prt_9') => ({ type: 'part', data: { id, messageID: 'msg_9', type: 'text', text: words } })

/** A sealed share behind a proxy, and a reader of it, who is let in once the proxy knows what to do. */
async function scene(use, { lie, key, plain = false } = {}) {
  const share = plain ? await server.share() : await SealedShare.create(server)
  await share.sync(session(), ...prompt('Tell me'), ...answer([text('Once')]), MESSAGE, part('One'))
  const proxy = await LyingProxy.start(server.url)
  if (lie) proxy.lie = lie(share)
  const reader = new Reader(proxy.url, share.id, {}, key === null ? undefined : (key ?? share.key))
  const words = () => reader.data.filter(({ type }) => type === 'part').map(({ data }) => data.text)
  const shows = (...said) =>
    reader.until(`shows ${said.map((text) => text.slice(0, 40))}`, () => said.every((text) => words().includes(text)))
  const doubts = (what, are) => reader.until(what, () => are(reader.opener.doubts))
  try {
    await use({ share, proxy, reader, words, shows, doubts })
  } finally {
    await reader.close()
    await proxy.close()
  }
}

const NONE = { plain: 0, changed: 0, older: 0, less: undefined }

test('what was sealed is read, live too, and nothing is doubted', () =>
  scene(async ({ share, proxy, reader, words, shows }) => {
    await reader.live()
    assert.deepEqual(words(), ['Tell me', 'Once', 'One'])
    assert.equal(reader.session.info.title, 'A session')
    await share.sync(part('One and two'))
    await shows('One and two')
    const late = part('Sent before its message', 'prt_20')
    late.data.messageID = 'msg_20'
    await share.sync(late)
    await reader.until('it waits', () => reader.session.stray().length === 1)
    await share.sync({ ...MESSAGE, data: { ...MESSAGE.data, id: 'msg_20' } })
    await reader.until('it is placed', () => reader.session.ordered().some(({ id }) => id === 'msg_20'))
    proxy.cut()
    await share.sync(part('Meanwhile', 'prt_21'))
    await shows('Meanwhile')
    await reader.live()
    assert.deepEqual(reader.states, ['loading', 'live', 'reconnecting', 'live'])
    assert.deepEqual(reader.opener.doubts, NONE)
    assert.ok(JSON.stringify(proxy.frames).length > 1000)
    assert.ok(!/Tell me|Once|Meanwhile|msg_|prt_/.test(JSON.stringify(proxy.frames)), 'the server knows nothing of it')
  }))

test('a long text grows by its segments, shrinks again, and is taken away', () =>
  scene(async ({ share, reader, words, shows, doubts }) => {
    await reader.live()
    let long = ''
    for (let at = 0; at < 12; at++) {
      long += `${at} é🦀 `.repeat(300)
      await share.sync(part(long))
      await shows(long)
    }
    assert.ok(share.items.size > 12)
    await share.sync(part('short again'))
    await shows('short again')
    await share.sync(part(long.slice(0, 9000)))
    await shows(long.slice(0, 9000))
    await share.sync(part(long.slice(0, 5000)))
    await shows(long.slice(0, 5000))
    await share.sync({ type: 'part.removed', data: { messageID: 'msg_9', id: 'prt_9' } })
    await reader.until('it is gone', () => !words().some((text) => text.length > 4000))
    await share.sync({ type: 'message.removed', data: { id: 'msg_9' } })
    await reader.until('its message too', () => !reader.session.ordered().some(({ id }) => id === 'msg_9'))
    await doubts('none', (all) => all.less === undefined)
    assert.deepEqual(reader.opener.doubts, NONE)
  }))

test('a key that is cut short or another opens nothing, and a share without its key says so', async () => {
  for (const key of ['', 'abc', randomKey()])
    await scene(
      async ({ reader }) => {
        await reader.running
        assert.deepEqual([reader.state, reader.data], ['wrongKey', []])
      },
      { key },
    )
  await scene(
    async ({ reader }) => {
      await reader.running
      assert.deepEqual([reader.state, reader.data], ['keyless', []])
    },
    { key: null },
  )
})

test('where the browser has no cryptography nothing is tried', async () => {
  const subtle = Object.getOwnPropertyDescriptor(globalThis, 'crypto')
  Object.defineProperty(globalThis, 'crypto', { value: {}, configurable: true })
  try {
    await scene(
      async ({ reader }) => {
        await reader.running
        assert.equal(reader.state, 'unable')
      },
      { plain: true, key: randomKey() },
    )
  } finally {
    Object.defineProperty(globalThis, 'crypto', subtle)
  }
})

test('what is not sealed does not count where the link has a key', async () => {
  const plain = ([type, ...rest], n) => ({
    key: [type, ...rest].join('/'),
    type,
    data: { id: rest.at(-1), text: 'EVIL' },
    n,
  })
  await scene(
    async ({ reader, words, doubts }) => {
      await reader.live()
      await doubts('it is told', (all) => all.plain === 3)
      assert.deepEqual(words(), ['Tell me', 'Once', 'One'])
      assert.equal(reader.session.info.title, 'A session')
    },
    {
      lie: () => {
        let isFirst = true
        return (frame) => {
          if (isFirst)
            frame.items.push(plain(['session'], 90), plain(['message', 'msg_evil'], 91), {
              key: 'part/msg_9/prt_9',
              append: { path: '/text', at: 3, text: 'EVIL' },
            })
          isFirst = false
          return frame
        }
      },
    },
  )
  // A whole share that is not sealed.
  await scene(
    async ({ reader, doubts }) => {
      await reader.live()
      await doubts('all of it', (all) => all.plain > 4)
      assert.deepEqual(reader.data, [])
    },
    { plain: true, key: randomKey() },
  )
})

/** Lies about what is stored: what the reader is told of each, and what is shown in the end. */
const LIES = {
  'an item that was changed': {
    lie: () => (frame) => {
      for (const item of frame.items.slice(0, 1))
        item.data.c = item.data.c.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))
      return frame
    },
    told: ({ changed, less }) => changed >= 1 && less,
  },
  'contents of two items exchanged': {
    lie: () => (frame) => {
      const [one, other] = frame.items
      if (other) [one.data.c, other.data.c] = [other.data.c, one.data.c]
      return frame
    },
    told: ({ changed, less }) => changed >= 2 && less,
  },
  'items under each others names': {
    lie: () => (frame) => {
      const [one, other] = frame.items
      if (other) [one.key, one.data.id, other.key, other.data.id] = [other.key, other.data.id, one.key, one.data.id]
      return frame
    },
    told: ({ changed }) => changed >= 2,
  },
  'an item under a key that is not its name': {
    lie: () => (frame) => {
      for (const item of frame.items.slice(0, 1)) item.key = 'sealed/x'
      return frame
    },
    told: ({ changed }) => changed >= 1,
  },
  'an item with a higher version': {
    lie: () => (frame) => {
      for (const item of frame.items.slice(0, 1)) item.data.v += 100
      return frame
    },
    told: ({ changed }) => changed >= 1,
  },
  'an item of no shape': {
    lie: () => (frame) => {
      frame.items.push({ key: 'sealed/x', type: 'sealed', data: null })
      return frame
    },
    told: ({ changed, less }) => changed >= 1 && !less,
  },
  'an item withheld': {
    lie:
      ({ keys }) =>
      (frame) => ({ ...frame, items: frame.items.filter(({ data }) => data.id !== keys.nameOf('session')) }),
    told: ({ less }) => less?.at > 1.7e12,
  },
  'the manifest withheld': {
    lie:
      ({ keys }) =>
      (frame) => ({ ...frame, items: frame.items.filter(({ data }) => data.id !== keys.nameOf('manifest')) }),
    told: ({ less }) => less && less.at === undefined,
  },
  'an item said to be removed': {
    lie:
      ({ keys }) =>
      (frame) => ({ ...frame, removed: [`sealed/${keys.nameOf('session')}`] }),
    told: ({ less }) => less,
  },
}

for (const [name, { lie, told }] of Object.entries(LIES))
  test(`${name}: the reader is told`, () =>
    scene(
      async ({ reader, doubts }) => {
        await reader.live()
        await doubts(name, told)
      },
      { lie },
    ))

test('items of another share, or of one of the same session, do not open', async () => {
  const other = await SealedShare.create(server)
  const sealed = other.seal(session({ title: 'EVIL' }))
  await scene(
    async ({ reader, doubts }) => {
      await reader.live()
      await doubts('they are told', ({ changed }) => changed >= 2)
      assert.equal(reader.session.info.title, 'A session')
    },
    {
      lie: () => (frame) => {
        frame.items.push(...sealed.map((item) => ({ key: `sealed/${item.data.id}`, ...item })))
        return frame
      },
    },
  )
})

test('an older version is refused, and so is what was taken away', () =>
  scene(async ({ share, proxy, reader, words, shows, doubts }) => {
    await reader.live()
    const [{ epoch, items }] = proxy.frames
    await share.sync(part('One and two'))
    await shows('One and two')
    const last = () => proxy.frames.at(-1).seq
    const again = items.find(({ data }) => data.id === share.keys.itemOf('part/msg_9/prt_9'))
    proxy.say({ type: 'items', epoch, seq: last() + 1, items: [again], removed: [], more: false })
    await doubts('the older one', ({ older }) => older === 1)
    assert.ok(words().includes('One and two'))
    // Said again it is no news.
    const current = proxy.frames.flatMap(({ items }) => items).findLast(({ data }) => data.id === again.data.id)
    proxy.say({ type: 'items', epoch, seq: last() + 2, items: [current], removed: [], more: false })
    proxy.say({ type: 'items', epoch, seq: last() + 3, items: [], removed: [again.key], more: false })
    await reader.until('it is taken away', () => !words().includes('One and two'))
    await doubts('by the server alone', ({ less }) => less)
    proxy.say({ type: 'items', epoch, seq: last() + 4, items: [current], removed: [], more: false })
    await doubts('what was taken away', ({ older }) => older === 2)
    assert.ok(!words().includes('One and two'))
  }))

test('a server that has lost what was newer is told from one that has not', () =>
  scene(async ({ share, proxy, reader, words, shows, doubts }) => {
    await reader.live()
    const before = structuredClone(proxy.frames)
    await share.sync(part('One and two'), part('New', 'prt_10'))
    await shows('One and two', 'New')
    assert.deepEqual(reader.opener.doubts, NONE)
    // All as it was before, in a history of its own.
    const [{ items }] = before
    proxy.lie = () => ({ type: 'items', epoch: 'another', seq: 3, items, removed: [], more: false })
    proxy.cut()
    await doubts('older and less', ({ older, less }) => older >= 2 && less)
    assert.ok(words().includes('One and two'), 'what is newer stays')
    assert.deepEqual(reader.opener.doubts.changed, 0)
  }))

test('a difference to the manifest is told, and is taken back when it is over', () =>
  scene(async ({ share, proxy, reader, shows, doubts }) => {
    await reader.live()
    const held = []
    proxy.lie = (frame) => {
      held.push(frame)
      reader.changed()
    }
    const [{ epoch }] = proxy.frames
    await share.sync(part('Late', 'prt_11'))
    await reader.until('it was sent', () => held.length)
    const [frame] = held
    const isManifest = ({ data }) => data.id === share.keys.nameOf('manifest')
    // The manifest first, and the item when the difference was told.
    proxy.say({ ...frame, seq: frame.seq, items: frame.items.filter(isManifest) })
    await doubts('less', ({ less }) => less)
    proxy.say({ type: 'items', epoch, seq: frame.seq + 1, items: frame.items, removed: [], more: false })
    await shows('Late')
    await doubts('no more', ({ less }) => !less)
  }))

test('what comes is taken in as it came, however long it takes to be opened', async () => {
  const large = await SealedShare.create(server)
  await shareLarge({ share: async () => large }, 800, 2 << 20)
  const reader = new Reader(server.url, large.id, {}, large.key)
  try {
    const seen = []
    reader.connection.addEventListener('change', () => seen.push(reader.session.position.seq))
    await reader.live()
    for (let at = 0; at < 30; at++) await large.sync(part(`${at} ${'words '.repeat(200 - at * 6)}`), MESSAGE)
    await reader.until('the last', () => reader.data.some(({ data }) => data.text?.startsWith('29 ')))
    assert.deepEqual(
      seen,
      seen.toSorted((one, other) => one - other),
    )
    assert.equal(reader.data.length, [...large.items.values()].filter(({ plain }) => plain.type !== 'segment').length)
    assert.deepEqual(reader.opener.doubts, NONE)
  } finally {
    await reader.close()
  }
})

const SEEDS = Number(process.env.BRUTUS_SEEDS ?? 40)

/** Numbers below a limit, the same for the same seed. */
function random(seed) {
  let state = seed + 1
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

test(`whatever a server makes of it, only what was sent is shown, and never less new (${SEEDS} seeds)`, async () => {
  const share = Object.assign(await SealedShare.create(server), { send: async () => {} })
  const sent = []
  const versions = new Map()
  for (let at = 0; at < 12; at++) {
    const items = [session({ title: `Title ${at}` }), MESSAGE, part(`Words ${at} `.repeat(at * 20), `prt_${at % 3}`)]
    for (const { data } of items) versions.set(JSON.stringify(data), at)
    sent.push(...share.seal(...items).map((item) => ({ key: `sealed/${item.data.id}`, ...item })))
  }
  const environment = { after: () => () => {} }
  for (let seed = 0; seed < SEEDS; seed++) {
    const below = random(seed)
    const any = (list) => list[below(list.length)]
    const opener = new Opener(share.id, share.key, environment)
    await opener.begin(async () => ({ sealed: { check: share.keys.check, locked: false } }))
    const held = new Session()
    const newest = new Map()
    for (let frame = 1; frame < 15; frame++) {
      const items = Array.from({ length: below(12) }, () => mangled(any(sent), any(sent), below))
      const removed = Array.from({ length: below(3) }, () => any(sent).key)
      const told = { type: 'items', epoch: `e${below(8) ? 0 : below(3)}`, seq: frame, items, removed, more: !below(4) }
      held.apply(await opener.open(told, held.position))
      const messages = [...held.ordered(), ...held.stray()]
      const shown = [held.info, ...messages.flatMap((message) => held.partsOf(message))].filter(Boolean)
      for (const data of shown) {
        const version = versions.get(JSON.stringify(data))
        assert.ok(version !== undefined, `seed ${seed}: ${JSON.stringify(data).slice(0, 200)}`)
        assert.ok(version >= (newest.get(data.id) ?? 0), `seed ${seed}: ${data.id} goes back`)
        newest.set(data.id, version)
      }
    }
  }
})

/** An item as a server may give it: as it was, or of another, or not sealed. */
function mangled(item, other, below) {
  const { key, data } = structuredClone(item)
  const lies = [
    () => ({ key, type: 'sealed', data: { ...data, c: other.data.c } }),
    () => ({ key, type: 'sealed', data: { ...data, v: other.data.v } }),
    () => ({ key: other.key, type: 'sealed', data: { ...data, id: other.data.id } }),
    () => ({ key: other.key, type: 'sealed', data }),
    () => ({ key: 'session', type: 'session', data: { id: 'ses_1', title: 'EVIL' } }),
    () => ({ key: 'part/msg_9/prt_0', append: { path: '/text', at: 0, text: 'EVIL' } }),
  ]
  return { n: below(20), ...(lies[below(lies.length * 3)]?.() ?? item) }
}
