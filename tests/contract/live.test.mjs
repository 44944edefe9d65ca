// What viewers are shown, and how they leave: PROTOCOL.md, "Live".

import assert from 'node:assert/strict'
import { once } from 'node:events'

import { WebSocket } from 'ws'

import { message, part, session, share, testWith } from './target.mjs'

testWith({}, 'a viewer sees what is stored and then what comes', async (server) => {
  const one = await share(server)
  await one.put(part('a', '1', 'before'), message('a'), session())
  const viewer = await one.watch()
  await viewer.reached(3)
  const [first] = viewer.shown
  assert.deepEqual(Object.keys(first).sort(), ['epoch', 'items', 'more', 'removed', 'seq', 'type'])
  assert.deepEqual(
    first.items.map(({ key, type }) => [key, type]),
    [
      ['message/a', 'message'],
      ['session', 'session'],
      ['part/a/1', 'part'],
    ],
    'messages stand before parts',
  )
  assert.equal(first.epoch, (await one.items()).epoch)

  await one.put(part('a', '2', 'live'))
  await viewer.reached(4)
  assert.deepEqual(viewer.shown.at(-1).items, [{ key: 'part/a/2', type: 'part', data: part('a', '2', 'live').data }])
  await one.put(part('a', '1', 'changed'), { type: 'part.removed', data: { messageID: 'a', id: '2' } })
  await viewer.reached(6)
  assert.deepEqual(viewer.shown.at(-1).removed, ['part/a/2'])
  assert.deepEqual([...viewer.holds.keys()].sort(), ['message/a', 'part/a/1', 'session'])
  assert.equal(viewer.holds.get('part/a/1').text, 'changed')
  // One that comes back says its place, which it has kept.
  await one.put(part('a', '2', 'back'))
  await viewer.reached(7)
  assert.deepEqual(viewer.shown.at(-1).items[0].n, 3)
  assert.ok(viewer.shown.every(({ epoch }) => epoch === first.epoch))
  viewer.close()
})

testWith({}, 'the first frame comes even when there is nothing, and counts of viewers come and go', async (server) => {
  const one = await share(server)
  const viewer = await one.watch()
  await viewer.reached(0)
  assert.deepEqual([viewer.shown[0].seq, viewer.shown[0].items, viewer.shown[0].more], [0, [], false])
  const counts = ({ frames }) => frames.filter(({ type }) => type === 'viewers').map(({ count }) => count)
  await viewer.until('itself', () => counts(viewer).at(-1) === 1)
  const others = await Promise.all([one.watch(), one.watch()])
  for (const one of [viewer, ...others]) await one.until('all three', () => counts(one).at(-1) === 3)
  assert.equal((await one.ask('GET', '')).json.viewers, 3)
  for (const other of others) other.close()
  await viewer.until('itself again', () => counts(viewer).at(-1) === 1)
  viewer.close()
})

testWith({}, 'a viewer that comes back gets what it missed', async (server) => {
  const one = await share(server)
  await one.put(session(), part('a', '1'), part('a', '2'))
  const before = await one.watch()
  await before.reached(3)
  const { epoch, seq } = before.shown.at(-1)
  before.close()
  await one.put(part('a', '1', 'new'), { type: 'part.removed', data: { messageID: 'a', id: '2' } }, message('a'))
  const back = await one.watch(`?after=${seq}&epoch=${epoch}&order=1`)
  await back.reached(6)
  assert.deepEqual(
    back.shown[0].items.map(({ key, n }) => [key, n]),
    [
      ['message/a', 3],
      ['part/a/1', 1],
    ],
  )
  assert.deepEqual(back.shown[0].removed, ['part/a/2'])
  back.close()
  // Where nothing was missed, the first frame says so.
  const same = await one.watch(`?after=6&epoch=${epoch}`)
  await same.reached(6)
  assert.deepEqual([same.shown[0].items, same.shown[0].removed], [[], []])
  same.close()
  for (const query of ['?after=6&epoch=another', `?after=7&epoch=${epoch}`, '']) {
    const other = await one.watch(query)
    await other.reached(6)
    assert.deepEqual([...other.holds.keys()].sort(), ['message/a', 'part/a/1', 'session'], query)
    other.close()
  }
})

testWith({}, 'positions only grow, and many viewers all end with the newest', async (server) => {
  const one = await share(server)
  const viewers = await Promise.all(Array.from({ length: 10 }, () => one.watch()))
  const syncs = Array.from({ length: 40 }, (_, at) => one.put(part('m', `p${at % 7}`, `${at}`), part('m', `q${at}`)))
  for (const sync of syncs) assert.equal((await sync).status, 200)
  const { seq } = await one.items()
  const stored = new Map((await one.items()).items.map(({ key, data }) => [key, data]))
  for (const viewer of viewers) {
    await viewer.reached(seq)
    const positions = viewer.shown.map(({ seq }) => seq)
    assert.deepEqual(
      positions,
      positions.toSorted((one, other) => one - other),
    )
    assert.deepEqual(new Map([...viewer.holds].sort()), new Map([...stored].sort()))
    viewer.close()
  }
})

testWith({}, 'a sync that is large comes in several live frames', async (server) => {
  const one = await share(server)
  const viewer = await one.watch()
  await viewer.reached(0)
  await one.put(...Array.from({ length: 6 }, (_, at) => part('m', `p${at}`, 'x'.repeat(60_000))))
  await viewer.reached(6)
  assert.equal(viewer.holds.size, 6)
  assert.ok(viewer.shown.length > 3, String(viewer.shown.length))
  assert.ok(viewer.shown.slice(1, -1).every(({ more }) => more))
  viewer.close()
})

testWith({}, 'a viewer may send pings and nothing else', async (server) => {
  const one = await share(server)
  const viewer = await one.watch()
  viewer.socket.ping('are you there')
  const [pong] = await once(viewer.socket, 'pong')
  assert.equal(pong.toString(), 'are you there')
  viewer.socket.send('hello')
  await viewer.ended()
  assert.equal(viewer.code, 1003)

  const binary = await one.watch()
  binary.socket.send(new Uint8Array(8))
  await binary.ended()
  assert.equal(binary.code, 1003)

  const large = await one.watch()
  large.socket.on('error', () => {})
  large.socket.send('x'.repeat(5_000))
  await large.ended()
  assert.equal(large.code, 1009)

  const leaving = await one.watch()
  leaving.socket.close(1000)
  await leaving.ended()
  assert.equal(leaving.code, 1000)
})

testWith({ max_viewers: 2 }, 'a share has no more viewers than it may', async (server) => {
  const one = await share(server)
  const viewers = [await one.watch(), await one.watch()]
  for (const viewer of viewers) await viewer.reached(0)
  const refused = async () => {
    const socket = new WebSocket(`${server.url.replace(/^http/, 'ws')}${one.path}/poll`)
    socket.on('error', () => {})
    const [, answer] = await once(socket, 'unexpected-response')
    const text = (await answer.setEncoding('utf8').toArray()).join('')
    return [answer.statusCode, JSON.parse(text).error.code, answer.headers['retry-after']]
  }
  assert.deepEqual(await refused(), [503, 'too_many_viewers', '30'])
  viewers[0].close()
  await viewers[1].until('its leaving', ({ frames }) => frames.at(-1).count === 1)
  const third = await one.watch()
  await third.reached(0)
  for (const viewer of [...viewers, third]) viewer.close()
})
