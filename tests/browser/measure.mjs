// Figures of the page on this machine, for long sessions: `node tests/browser/measure.mjs`. Not a test.

import { answer, launch, openPage, prompt, text } from '../lib/browser.mjs'
import { shareLarge } from '../lib/large.mjs'
import { Server } from '../lib/server.mjs'

const server = await Server.start()
const browser = await launch()
for (const [parts, bytes] of [
  [2000, 10 << 20],
  [10_000, 50 << 20],
]) {
  const share = await shareLarge(server, parts, bytes)
  const page = await openPage(browser)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Network.enable')
  let wire = 0
  cdp.on('Network.loadingFinished', ({ encodedDataLength }) => (wire += encodedDataLength))
  const started = performance.now()
  await page.goto(share.url, { waitUntil: 'commit' })
  // Looked for rarely: looking costs the page time too.
  const polling = { polling: 50 }
  await page.waitForFunction(() => document.querySelector('.prompt-text'), null, polling)
  const first = performance.now() - started
  await page.waitForFunction(
    (last) =>
      document.querySelector('.state[data-state=live]') &&
      document.querySelector('.outline li:last-child .label')?.textContent.startsWith(last),
    `Prompt ${parts - ((parts - 1) % 25) - 1}:`,
    polling,
  )
  const complete = performance.now() - started
  const frames = await page.evaluate(async () => {
    const times = []
    let last = performance.now()
    scrollTo(0, 0)
    for (let at = 0; at < 300; at++) {
      // A fast wheel.
      scrollBy(0, 400)
      await new Promise(requestAnimationFrame)
      times.push(performance.now() - last)
      last = performance.now()
    }
    return times.sort((one, other) => one - other)
  })
  await cdp.send('HeapProfiler.collectGarbage')
  const { usedSize } = await cdp.send('Runtime.getHeapUsage')
  const latencies = []
  for (let at = 0; at < 10; at++) {
    const words = `latency ${at} ${parts}`
    const items = [...prompt('now'), ...answer([text(words)])]
    const shown = page.evaluate(
      (words) =>
        new Promise((resolve) => {
          const look = () => {
            if (
              [...document.querySelectorAll('.turn:last-child .markdown')].some((node) =>
                node.textContent.includes(words),
              )
            )
              return resolve(Date.now())
            requestAnimationFrame(look)
          }
          look()
        }),
      words,
    )
    const sent = Date.now()
    await share.sync(...items)
    latencies.push((await shown) - sent)
  }
  latencies.sort((one, other) => one - other)
  const ms = (value) => `${Math.round(value)} ms`
  console.log(
    `${parts} parts, ${bytes >> 20} MB: first screen ${ms(first)}, complete ${ms(complete)}, ` +
      `wire ${(wire / 2 ** 20).toFixed(1)} MiB, ` +
      `frames while scrolling p50 ${ms(frames[150])} p99 ${ms(frames[297])} longest ${ms(frames.at(-1))}, ` +
      `heap ${Math.round(usedSize / 2 ** 20)} MiB, sync to pixel p50 ${ms(latencies[5])} max ${ms(latencies.at(-1))}`,
  )
  await page.context().close()
}
await browser.close()
await server.close()
