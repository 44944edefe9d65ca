// How long a reader on a phone waits for the first prompt, after a link from a chat:
// `node tests/browser/measure-load.mjs`.
// Medians of five. Not a test.

import { answer, launch, openPage, prompt, session, text, tool } from '../lib/browser.mjs'
import { Server } from '../lib/server.mjs'

const NETWORKS = {
  loopback: undefined,
  '4G': { latency: 100, downloadThroughput: 9e6 / 8, uploadThroughput: 9e6 / 8, offline: false },
  'slow 4G': { latency: 400, downloadThroughput: 1.6e6 / 8, uploadThroughput: 0.75e6 / 8, offline: false },
}
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 3, isMobile: true, hasTouch: true }
const TIMES = 5

const server = await Server.start()
const browser = await launch()
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

/** When a prompt's words were painted, and how many answers of any kind had begun to come by then. */
async function load(page, cdp, network) {
  if (network) await cdp.send('Network.emulateNetworkConditions', network)
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 })
  await page.goto(share.url, { waitUntil: 'commit' })
  const seen = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const look = () => {
          if (document.querySelector('.prompt-text')?.getBoundingClientRect().height)
            // The frame after the one in which it stands has it on the screen.
            return requestAnimationFrame(() => resolve(performance.now()))
          requestAnimationFrame(look)
        }
        look()
      }),
  )
  await page.locator('.state[data-state=live]').waitFor()
  const live = await page.evaluate(() => performance.now())
  const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime)
  const entries = await page.evaluate(() =>
    performance.getEntriesByType('resource').map(({ responseEnd, transferSize }) => ({ responseEnd, transferSize })),
  )
  const before = entries.filter(({ responseEnd }) => responseEnd <= seen)
  const requests = 1 + entries.filter(({ transferSize }) => transferSize > 0).length
  return { seen, painted, live, before: 1 + before.length, requests }
}

const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]
const round = (value) => `${Math.round(value)}`.padStart(5)

console.log('network, visit: prompt seen / first paint / live, in ms; answers till the prompt was seen, all requests')
for (const [name, network] of Object.entries(NETWORKS)) {
  const runs = { cold: [], second: [] }
  for (let time = 0; time < TIMES; time++) {
    const page = await openPage(browser, PHONE)
    const cdp = await page.context().newCDPSession(page)
    for (const visit of Object.keys(runs)) runs[visit].push(await load(page, cdp, network))
    await page.context().close()
  }
  for (const [visit, all] of Object.entries(runs)) {
    const of = (what) => round(median(all.map((run) => run[what])))
    console.log(
      `${name.padEnd(8)} ${visit.padEnd(6)} ${of('seen')} / ${of('painted')} / ${of('live')}; ` +
        `${of('before')} ${of('requests')}`,
    )
  }
}
await browser.close()
await server.close()
