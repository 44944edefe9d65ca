// The page's figures on this machine, beside its goals: `node tests/browser/measure.mjs`; with names behind it,
// `stream`, `large`, `sealed`, `read`, `load` or `axe`, these alone. `TIMES=1` takes one run of each in place of the
// median of five. Not a test.

import { AxeBuilder } from '@axe-core/playwright'

import {
  answer,
  launch,
  live,
  openAll,
  openPage,
  openShare,
  prompt,
  session,
  shareRecorded,
  text,
  tool,
} from '../lib/browser.mjs'
import { shareLarge } from '../lib/large.mjs'
import { SealedShare } from '../lib/sealing.mjs'
import { Server } from '../lib/server.mjs'
import { streamed } from '../lib/streamed.mjs'
import { traced } from '../lib/trace.mjs'

const TIMES = Number(process.env.TIMES ?? 5)
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 3, isMobile: true, hasTouch: true }
const SLOWER = { rate: 4 }

// Milliseconds in which all of a long session has come, on a machine that does much else.
const PATIENCE = 180_000

// What is to be reached: `[unit, must, aim]`.
const GOALS = {
  'longest task while 120 KB of Markdown stream': ['ms', 100, 50],
  'sync to pixel at 10,000 parts over at 2,000': ['', 1.3, 1.1],
  'complete at 10,000 parts': ['ms', 3000, 1500],
  'heap at 10,000 parts': ['MiB', 70, 50],
  'first load of 5,000 sealed items over plain': ['', 1.6, 1.2],
  'height after reading 300 turns over before': ['', 1.25, 1.05],
  'frames while scrolling on a phone, p95': ['ms', 50, 33],
  'prompt seen, 4G, cold': ['ms', 1300, 900],
  'prompt seen, 4G, second visit': ['ms', 600, 350],
  'prompt seen, slow 4G, cold': ['ms', 2600, 1800],
  'prompt seen, slow 4G, second visit': ['ms', 1200, 700],
  'requests until the prompt is seen, cold': ['', 8, 4],
  'findings of axe': ['', 0, 0],
}

const reached = {}

function reach(goal, value) {
  if (!GOALS[goal]) throw new Error(`no such goal: ${goal}`)
  reached[goal] = value
}

const sorted = (values) => values.toSorted((one, other) => one - other)
const at = (values, part) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * part))]
const median = (values) => at(values, 0.5)
const rounded = (value) => (Number.isInteger(value) ? value : Number(value.toPrecision(value < 10 ? 2 : 3)))
const shown = (value, unit) => `${rounded(value)}${unit && ` ${unit}`}`
const ms = (value) => `${Math.round(value)} ms`

async function repeated(work) {
  const results = []
  for (let time = 0; time < TIMES; time++) results.push(await work())
  return results
}

/** A long answer that streams in, before a reader at its beginning, and one who follows its end. */
async function stream() {
  const longest = []
  for (const follows of [false, true]) {
    const runs = await repeated(() => streamOnce(follows))
    longest.push(median(runs.map(({ wall }) => Math.max(0, ...wall))))
    const spent = ({ kinds }) =>
      Object.entries(kinds)
        .toSorted(([, one], [, other]) => other.sum - one.sum)
        .map(([kind, { sum, longest }]) => `${kind} ${ms(sum)} (${ms(longest)})`)
    const middle = sorted(runs.map(({ longest }) => longest))[Math.floor(runs.length / 2)]
    const run = runs.find(({ longest }) => longest === middle)
    console.log(
      `stream, ${follows ? 'followed' : 'read from its beginning'}: ` +
        `${median(runs.map(({ wall }) => wall.length))} long tasks, longest ${ms(longest.at(-1))}; ` +
        `by the processor's time longest ${ms(run.longest)}, together ${ms(run.total)}: ${spent(run).join(', ')}; ` +
        `restyled at most ${Math.max(...run.restyled)} elements, laid out ${Math.max(...run.laidOut)} boxes`,
    )
  }
  reach('longest task while 120 KB of Markdown stream', Math.max(...longest))
}

async function streamOnce(follows) {
  const answer = await streamed(server, 120_000, 240)
  const page = await openShare(browser, answer.share)
  await page.evaluate(() => {
    window.tasks = []
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: 'longtask',
    })
  })
  const trace = await traced(browser, page, async () => {
    for (let step = 0; step < 240; step++) {
      await answer.append()
      await page.waitForTimeout(20)
      if (step === 20 && follows) await page.keyboard.press('f')
    }
    await answer.seen(page)
  })
  const wall = await page.evaluate(() => window.tasks)
  await page.context().close()
  return { ...trace, wall }
}

/** Long sessions: how soon they are seen, how they scroll, and how soon what comes is seen. */
async function large() {
  const latency = []
  for (const [parts, bytes] of [
    [2000, 10 << 20],
    [10_000, 50 << 20],
  ]) {
    const share = await shareLarge(server, parts, bytes)
    const runs = await repeated(() => largeOnce(share, parts))
    const of = (what) => median(runs.map((run) => run[what]))
    latency.push(of('latency'))
    console.log(
      `${parts} parts, ${bytes >> 20} MB: first screen ${ms(of('first'))}, complete ${ms(of('complete'))} ` +
        `(${ms(of('busy'))} of the processor's time), wire ${of('wire').toFixed(1)} MiB, ` +
        `frames while scrolling p50 ${ms(of('p50'))} p99 ${ms(of('p99'))}, ` +
        `heap ${Math.round(of('heap'))} MiB, sync to pixel p50 ${ms(of('latency'))} ` +
        `(${ms(of('each'))} of the processor's time)`,
    )
    if (parts < 10_000) continue
    reach('complete at 10,000 parts', of('complete'))
    reach('heap at 10,000 parts', of('heap'))
  }
  reach('sync to pixel at 10,000 parts over at 2,000', latency[1] / latency[0])
}

async function largeOnce(share, parts) {
  const page = await openPage(browser)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Network.enable')
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' })
  let wire = 0
  cdp.on('Network.loadingFinished', ({ encodedDataLength }) => (wire += encodedDataLength))
  const started = performance.now()
  await page.goto(share.url, { waitUntil: 'commit' })
  // Looked for rarely: looking costs the page time too.
  const polling = { polling: 50, timeout: PATIENCE }
  await page.waitForFunction(() => document.querySelector('.prompt-text'), null, polling)
  const first = performance.now() - started
  await page.waitForFunction(
    (turns) =>
      document.querySelector('.state[data-state=live]') &&
      document.querySelectorAll('.outline-list > ol > li').length >= turns,
    Math.ceil(parts / 25),
    polling,
  )
  const complete = performance.now() - started
  const spent = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1000
  }
  const busy = await spent()
  const frames = await page.evaluate(scrolled, SCROLL)
  await cdp.send('HeapProfiler.collectGarbage')
  const { usedSize } = await cdp.send('Runtime.getHeapUsage')
  const latencies = []
  const before = await spent()
  for (let nth = 0; nth < 10; nth++) {
    const words = `latency ${nth} ${Math.random()}`
    const seen = page.evaluate(
      (words) =>
        new Promise((resolve) => {
          const look = () => {
            const drawn = [...document.querySelectorAll('.turn')].at(-1).querySelectorAll('.markdown')
            if ([...drawn].some((node) => node.textContent.includes(words))) return resolve(Date.now())
            requestAnimationFrame(look)
          }
          look()
        }),
      words,
    )
    const sent = Date.now()
    await share.sync(...prompt('now'), ...answer([text(words)]))
    latencies.push((await seen) - sent)
  }
  const each = ((await spent()) - before) / latencies.length
  await page.context().close()
  return {
    each,
    ...{ first, complete, busy, wire: wire / 2 ** 20, heap: usedSize / 2 ** 20, latency: median(latencies) },
    ...{ p50: at(frames, 0.5), p99: at(frames, 0.99) },
  }
}

/** The same session sealed, beside the plain one: when all of it has come, and what held the page up. */
async function sealed() {
  const [parts, bytes] = [5000, 10 << 20]
  const shares = { plain: await shareLarge(server, parts, bytes) }
  shares.sealed = await shareLarge({ share: () => SealedShare.create(server) }, parts, bytes)
  const runs = await repeated(async () => {
    const run = {}
    for (const [kind, share] of Object.entries(shares)) run[kind] = await completeOnce(share)
    return run
  })
  const of = (kind, what) => median(runs.map((run) => run[kind][what]))
  for (const kind of Object.keys(shares))
    console.log(
      `${parts} parts, ${bytes >> 20} MB, ${kind}: first screen ${ms(of(kind, 'first'))}, ` +
        `complete ${ms(of(kind, 'complete'))}, longest task ${ms(of(kind, 'longest'))}`,
    )
  reach('first load of 5,000 sealed items over plain', of('sealed', 'complete') / of('plain', 'complete'))
}

async function completeOnce(share) {
  const page = await openPage(browser)
  await page.addInitScript(() => {
    window.longest = 0
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration)
    }).observe({ type: 'longtask' })
  })
  const started = performance.now()
  const polling = { polling: 20, timeout: PATIENCE }
  await page.goto(share.url, { waitUntil: 'commit' })
  await page.waitForFunction(() => document.querySelector('.prompt-text'), null, polling)
  const first = performance.now() - started
  await page.waitForFunction(() => document.querySelector('.state[data-state=live]'), null, polling)
  const complete = performance.now() - started
  const longest = await page.evaluate(() => window.longest)
  await page.context().close()
  return { first, complete, longest }
}

/** Scrolls a page as with a fast wheel, and gives how long each frame took. In the page. */
async function scrolled({ steps, by }) {
  const times = []
  scrollTo(0, 0)
  let last = performance.now()
  for (let step = 0; step < steps; step++) {
    scrollBy(0, by)
    await new Promise(requestAnimationFrame)
    times.push(performance.now() - last)
    last = performance.now()
  }
  return times
}

/** 300 turns, read: by how much they were thought too tall or too low before, and how they scroll on a phone. */
async function read() {
  const share = await server.share()
  const diff = '--- a\n+++ a\n@@ -1,3 +1,4 @@\n a\n-b\n+c\n+d\n e\n'
  const turn = (nth) => [
    ...prompt(`Prompt ${nth}: ${'words of it '.repeat((nth * 7) % 40)}`),
    ...answer([
      tool('read', { filePath: 'a' }, { output: 'x' }),
      text(`Words before. ${'They go on. '.repeat((nth * 5) % 50)}`),
      tool('edit', { filePath: `src/${nth}.rs` }, { metadata: { diff } }),
      tool('bash', { command: 'make' }, { output: 'line\n'.repeat(40), metadata: { exit: nth % 50 ? 0 : 1 } }),
      text(`# Done\n\n${'A paragraph that says what was done. '.repeat((nth * 3) % 30)}\n\n- one\n- two\n- three`),
    ]),
  ]
  await share.sync(session(), ...Array.from({ length: 300 }, (_, nth) => turn(nth)).flat())
  const runs = await repeated(async () => {
    const { desk, phone } = { desk: await readOnce(share, {}), phone: await readOnce(share, PHONE) }
    return { desk, phone, ...(await scrollOnce(share)) }
  })
  const of = (what) => median(runs.map((run) => run[what]))
  console.log(
    `300 turns, height after reading over before: ${of('desk').toFixed(3)}, on a phone ${of('phone').toFixed(3)}; ` +
      `frames while scrolling on a slow phone p50 ${ms(of('p50'))} p95 ${ms(of('p95'))} ` +
      `longest ${ms(of('longest'))}, ` +
      `by the processor's time a frame ${ms(of('busy'))}: ` +
      ['style', 'layout', 'paint', 'script'].map((kind) => `${kind} ${of(kind).toFixed(1)}`).join(', '),
  )
  reach('height after reading 300 turns over before', Math.max(of('desk'), of('phone')))
  reach('frames while scrolling on a phone, p95', of('p95'))
}

async function readOnce(share, options) {
  const page = await openShare(browser, share, options)
  page.setDefaultTimeout(PATIENCE)
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 300)
  const ratio = await page.evaluate(async () => {
    const heightNow = () => document.documentElement.scrollHeight
    const before = heightNow()
    for (let top = 0; top < heightNow(); top += 600) {
      scrollTo(0, top)
      await new Promise(requestAnimationFrame)
      await new Promise(requestAnimationFrame)
    }
    await new Promise((resolve) => setTimeout(resolve, 500))
    const after = heightNow()
    return Math.max(after / before, before / after)
  })
  await page.context().close()
  return ratio
}

/** The frames of one page; by kind of work those of another, for to trace takes a part of every frame. */
async function scrollOnce(share) {
  const frames = await onSlowPhone(share, (page) => page.evaluate(scrolled, SCROLL))
  const { total, kinds } = await onSlowPhone(share, (page) =>
    traced(browser, page, () => page.evaluate(scrolled, SCROLL)),
  )
  const each = Object.fromEntries(Object.entries(kinds).map(([kind, { sum }]) => [kind, sum / SCROLL.steps]))
  return {
    p50: at(frames, 0.5),
    p95: at(frames, 0.95),
    longest: Math.max(...frames),
    busy: total / SCROLL.steps,
    ...each,
  }
}

const SCROLL = { steps: 300, by: 400 }

async function onSlowPhone(share, measure) {
  const page = await openShare(browser, share, PHONE)
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 300)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Emulation.setCPUThrottlingRate', SLOWER)
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 2000)))
  const measured = await measure(page)
  await page.context().close()
  return measured
}

const NETWORKS = {
  loopback: undefined,
  '4G': { latency: 100, downloadThroughput: 9e6 / 8, uploadThroughput: 9e6 / 8, offline: false },
  'slow 4G': { latency: 400, downloadThroughput: 1.6e6 / 8, uploadThroughput: 0.75e6 / 8, offline: false },
}

/** How long a reader on a phone waits for the first prompt, after a link from a chat. */
async function load() {
  const share = await server.share()
  await share.sync(session({ title: 'A session of twelve turns' }))
  for (let turn = 1; turn <= 12; turn++)
    await share.sync(
      ...prompt(`Prompt ${turn}: mend the parser, and test it`),
      ...answer([
        tool('bash', { command: 'cargo test' }, { output: 'test result: ok. 19 passed\n'.repeat(20) }),
        text('It was **one line**:\n\n```rust\nlet x = 1;\n```\n\n' + 'And some words on it. '.repeat(30)),
      ]),
    )
  const requests = []
  for (const [name, network] of Object.entries(NETWORKS)) {
    const runs = await repeated(async () => {
      const page = await openPage(browser, PHONE)
      await page.addInitScript(noteSeen)
      const cdp = await page.context().newCDPSession(page)
      const run = { cold: await loadOnce(share, page, cdp, network), second: await loadOnce(share, page, cdp, network) }
      await page.context().close()
      return run
    })
    for (const visit of ['cold', 'second']) {
      const of = (what) => median(runs.map((run) => run[visit][what]))
      console.log(
        `${name}, ${visit === 'cold' ? 'cold' : 'second visit'}: prompt seen ${ms(of('seen'))}, ` +
          `first paint ${ms(of('painted'))}, live ${ms(of('live'))}, ` +
          `${of('before')} requests answered until the prompt was seen, ${of('requests')} in all`,
      )
      if (network) reach(`prompt seen, ${name}, ${visit === 'cold' ? 'cold' : 'second visit'}`, of('seen'))
      if (network && visit === 'cold') requests.push(of('before'))
    }
  }
  reach('requests until the prompt is seen, cold', Math.max(...requests))
}

/** Notes when a prompt's words stand in a frame that is drawn. In the page, before all else there. */
function noteSeen() {
  const drawn = new MessageChannel()
  drawn.port1.onmessage = () => (window.seen = performance.now())
  const look = () => {
    if (document.querySelector('.prompt-text')?.getBoundingClientRect().height) drawn.port2.postMessage(0)
    else requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}

/** When a prompt's words were seen, and how many requests were answered by then. */
async function loadOnce(share, page, cdp, network) {
  if (network) await cdp.send('Network.emulateNetworkConditions', network)
  await cdp.send('Emulation.setCPUThrottlingRate', SLOWER)
  await page.goto(share.url, { waitUntil: 'commit' })
  await live(page)
  const came = await page.evaluate(() => ({
    seen: window.seen,
    live: performance.now(),
    painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    entries: performance
      .getEntriesByType('resource')
      .map(({ responseEnd, transferSize }) => ({ responseEnd, transferSize })),
  }))
  const { seen, entries } = came
  const before = 1 + entries.filter(({ responseEnd }) => responseEnd <= seen).length
  const requests = 1 + entries.filter(({ transferSize }) => transferSize > 0).length
  return { seen, painted: came.painted, live: came.live, before, requests }
}

// What a reader may have before them, by how they come there.
const STATES = {
  'as it opens': async () => {},
  folded: (page) => page.keyboard.press('o'),
  open: openAll,
  search: async (page) => {
    await page.keyboard.press('/')
    await page.keyboard.type('def')
    await page.locator('.found .row').first().waitFor()
  },
  changes: async (page) => {
    await page.keyboard.press('c')
    await page.locator('.review').waitFor()
  },
  'view menu': (page) => page.locator('.menu > summary').first().click(),
  'share menu': (page) => page.locator('.menu > summary').last().click(),
  help: async (page) => {
    await page.keyboard.press('?')
    await page.locator('dialog[open]').waitFor()
  },
}

const ON_PHONES = {
  outline: (page) => page.locator('.top .only-narrow').click(),
  "a turn's menu": (page) => page.locator('.turn-menu').first().click(),
}

/** What axe finds, whatever a reader has opened. */
async function axe() {
  const share = await shareRecorded(server)
  let states = 0
  const found = []
  for (const colorScheme of ['light', 'dark']) {
    for (const [device, options] of Object.entries({ desk: {}, phone: PHONE })) {
      for (const [state, open] of Object.entries({ ...STATES, ...(options === PHONE && ON_PHONES) })) {
        const page = await openShare(browser, share, { colorScheme, reducedMotion: 'reduce', ...options })
        await open(page)
        const { violations } = await new AxeBuilder({ page }).analyze()
        for (const { id, nodes } of violations)
          found.push(`${colorScheme}, ${device}, ${state}: ${id}, ${nodes[0].html.slice(0, 120)}`)
        states += 1
        await page.context().close()
      }
    }
  }
  console.log([`axe: ${found.length} findings in ${states} states`, ...found].join('\n  '))
  reach('findings of axe', found.length)
}

const PARTS = { stream, large, sealed, read, load, axe }
const server = await Server.start()
const browser = await launch()
const names = process.argv.slice(2)
try {
  for (const name of names.length ? names : Object.keys(PARTS)) await PARTS[name]()
} finally {
  await browser.close()
  await server.close()
}
const rows = Object.entries(reached).map(([goal, value]) => {
  const [unit, must, aim] = GOALS[goal]
  const verdict = value <= aim ? 'aim' : value <= must ? 'must' : 'missed'
  return [goal, shown(value, unit), shown(must, unit), shown(aim, unit), verdict]
})
console.log()
for (const [goal, ...values] of [['goal', 'measured', 'must', 'aim', ''], ...rows])
  console.log([goal.padEnd(46), ...values.map((value) => String(value).padStart(9))].join(' '))
