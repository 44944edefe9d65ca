// `serve` and the server for Cloudflare beside each other, on this machine and by turns: `node
// tests/cloudflare/measure.mjs`. Not a test, and no measure of Cloudflare: there the network is between all of it.

import { launch, live } from '../lib/browser.mjs'
import { shareLarge } from '../lib/large.mjs'
import { Server } from '../lib/server.mjs'
import { Viewer } from '../lib/viewer.mjs'
import { Workerd } from '../lib/workerd.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const CLIENTS = 64
const SECONDS = 4

const at = (values, part) => values.toSorted((one, other) => one - other)[Math.floor(values.length * part)]
const part = (id, text) => ({ type: 'part', data: { id, messageID: 'msg_1', type: 'text', text } })

/** Syncs of 1 KB a second from 64 clients, each of a share of its own. */
async function syncs(server) {
  const shares = await Promise.all(Array.from({ length: CLIENTS }, () => server.share()))
  const until = performance.now() + SECONDS * 1000
  const took = []
  const text = 'x'.repeat(900)
  await Promise.all(
    shares.map(async (share) => {
      for (let count = 0; performance.now() < until; count++) {
        const began = performance.now()
        await share.sync(part(`prt_${count}`, text))
        took.push(performance.now() - began)
      }
    }),
  )
  return { 'syncs/s': took.length / SECONDS, 'sync p50': at(took, 0.5), 'sync p99': at(took, 0.99) }
}

/** From a sync's beginning to its frame at a viewer. */
async function shown(server) {
  const share = await server.share()
  const viewer = await Viewer.connect(server.url, share.id)
  await viewer.until('the first frame', ({ more }) => more === false)
  const took = []
  for (let count = 0; count < 500; count++) {
    const began = performance.now()
    const seen = viewer.until('the frame', ({ items }) => items.has(`part/msg_1/prt_${count}`))
    const sent = share.sync(part(`prt_${count}`, 'x'.repeat(900)))
    await seen
    took.push(performance.now() - began)
    await sent
  }
  viewer.close()
  return { 'to viewer p50': at(took, 0.5), 'to viewer p99': at(took, 0.99) }
}

/** A page with a cold cache, until all of 2,000 parts (2 MB) is there. */
async function loaded(server, browser) {
  const share = await shareLarge(server, 2000, 2 << 20)
  const context = await browser.newContext()
  const page = await context.newPage()
  const errors = []
  page.on('pageerror', (error) => errors.push(error))
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  const began = performance.now()
  await page.goto(share.url)
  await live(page)
  const took = performance.now() - began
  await context.close()
  if (errors.length) throw new Error(errors.join('\n'))
  return { 'first load': took }
}

const browser = await launch()
const rows = { serve: [], workerd: [] }
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, kind] of Object.entries({ serve: Server, workerd: Workerd })) {
    const server = await kind.start()
    rows[name].push({ ...(await syncs(server)), ...(await shown(server)), ...(await loaded(server, browser)) })
    await server.close()
  }
}
await browser.close()
for (const figure of Object.keys(rows.serve[0])) {
  const of = (name) => rows[name].map((row) => row[figure])
  const shown = (name) =>
    `${name} ${at(of(name), 0.5).toPrecision(3)} (${of(name)
      .map((value) => value.toPrecision(3))
      .join(', ')})`
  console.log(`${figure}: ${shown('serve')}; ${shown('workerd')}`)
}
