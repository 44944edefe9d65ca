// Figures of the page on this machine, for long sessions and long answers: `node tests/browser/measure.mjs`; with names
// behind it, `large`, `stream`, `height` or `axe`, these alone. Not a test.

import { AxeBuilder } from '@axe-core/playwright'

import { answer, launch, openPage, openShare, prompt, session, shareRecorded, text, tool } from '../lib/browser.mjs'
import { shareLarge } from '../lib/large.mjs'
import { Server } from '../lib/server.mjs'

const ms = (value) => `${Math.round(value)} ms`

/** Long sessions: how soon they are seen, how they scroll, and how soon what comes is seen. */
async function large() {
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
    console.log(
      `${parts} parts, ${bytes >> 20} MB: first screen ${ms(first)}, complete ${ms(complete)}, ` +
        `wire ${(wire / 2 ** 20).toFixed(1)} MiB, ` +
        `frames while scrolling p50 ${ms(frames[150])} p99 ${ms(frames[297])} longest ${ms(frames.at(-1))}, ` +
        `heap ${Math.round(usedSize / 2 ** 20)} MiB, sync to pixel p50 ${ms(latencies[5])} max ${ms(latencies.at(-1))}`,
    )
    await page.context().close()
  }
}

/** An answer that streams in: the longest that the page is held up. */
async function stream() {
  const share = await server.share()
  const block = (at) =>
    [
      `## Part ${at}\n`,
      `Some **words** with \`code\` and a [link](https://example.org/${at}) that go on and on for a while.\n`,
      `- one item\n- another *item*\n\n\`\`\`rust\nfn part_${at}() -> usize {\n    ${at}\n}\n\`\`\`\n`,
      `| a | b |\n|---|---|\n| ${at} | x |\n\n`,
    ].join('\n')
  let whole = ''
  for (let at = 0; whole.length < 120_000; at++) whole += block(at)
  const items = [...prompt('Write a lot'), ...answer([text('Begin')])]
  delete items[2].data.time.completed
  await share.sync(session(), ...items)
  const page = await openShare(browser, share)
  await page.evaluate(() => {
    window.tasks = []
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: 'longtask',
    })
  })
  for (let at = 1; at <= 240; at++) {
    items[3].data.text = whole.slice(0, Math.ceil((whole.length * at) / 240))
    await share.sync(items[3])
    await page.waitForTimeout(20)
  }
  const last = /Part (\d+)\n[^]*?$/.exec(whole.slice(whole.lastIndexOf('## Part')))[1]
  await page.waitForFunction(
    (words) => [...document.querySelectorAll('.markdown h4')].at(-1)?.textContent === words,
    `Part ${last}`,
  )
  const tasks = await page.evaluate(() => window.tasks)
  console.log(
    `120 KB of Markdown in 240 appends: ${tasks.length} long tasks, longest ${ms(Math.max(0, ...tasks))}, ` +
      `together ${ms(tasks.reduce((sum, task) => sum + task, 0))}`,
  )
  await page.context().close()
}

/** How much taller 300 turns are when they were read than they were thought to be. */
async function height() {
  const share = await server.share()
  const diff = '--- a\n+++ a\n@@ -1,3 +1,4 @@\n a\n-b\n+c\n+d\n e\n'
  const turn = (at) => [
    ...prompt(`Prompt ${at}: ${'words of it '.repeat((at * 7) % 40)}`),
    ...answer([
      tool('read', { filePath: 'a' }, { output: 'x' }),
      text(`Words before. ${'They go on. '.repeat((at * 5) % 50)}`),
      tool('edit', { filePath: `src/${at}.rs` }, { metadata: { diff } }),
      tool('bash', { command: 'make' }, { output: 'line\n'.repeat(40), metadata: { exit: at % 50 ? 0 : 1 } }),
      text(`# Done\n\n${'A paragraph that says what was done. '.repeat((at * 3) % 30)}\n\n- one\n- two\n- three`),
    ]),
  ]
  await share.sync(session(), ...Array.from({ length: 300 }, (_, at) => turn(at)).flat())
  const page = await openShare(browser, share)
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 300)
  const read = await page.evaluate(async () => {
    const heightNow = () => document.documentElement.scrollHeight
    const before = heightNow()
    for (let at = 0; at < heightNow(); at += 600) {
      scrollTo(0, at)
      await new Promise(requestAnimationFrame)
      await new Promise(requestAnimationFrame)
    }
    await new Promise((resolve) => setTimeout(resolve, 500))
    return { before, after: heightNow() }
  })
  console.log(
    `300 turns: ${read.before} px at load, ${read.after} px when read, ${(read.after / read.before).toFixed(2)} times`,
  )
  await page.context().close()
}

/** What axe finds. */
async function axe() {
  const share = await shareRecorded(server)
  let found = 0
  for (const colorScheme of ['light', 'dark']) {
    for (const hash of ['', '#changes']) {
      const page = await openShare(browser, { url: share.url + hash }, { colorScheme })
      found += (await new AxeBuilder({ page }).analyze()).violations.length
      await page.context().close()
    }
  }
  console.log(`axe: ${found} findings`)
}

const ALL = { large, stream, height, axe }
const server = await Server.start()
const browser = await launch()
const names = process.argv.slice(2)
for (const name of names.length ? names : Object.keys(ALL)) await ALL[name]()
await browser.close()
await server.close()
