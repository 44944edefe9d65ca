// A real Chromium, and what a page of it did that it should not have.

import { readFile } from 'node:fs/promises'
import { after } from 'node:test'

import { chromium } from 'playwright-core'

import { startServer } from './workerd.mjs'

export { answer, prompt, session, text, tool } from './items.mjs'

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const CHROMIUM = new URL('chromium', import.meta.url).pathname

export const launch = (...args) => chromium.launch({ executablePath: CHROMIUM, args: [...ARGS, ...args] })

/** A browser and a server for the tests of one file. */
export async function setUp() {
  const [browser, server] = await Promise.all([launch(), startServer()])
  after(async () => {
    await browser.close()
    await server.close()
  })
  return { browser, server }
}

/** A page that keeps a record of errors, dialogs, refusals by its policy, and the hosts that it asked. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options })
  const page = await context.newPage()
  const record = { errors: [], dialogs: [], hosts: new Set() }
  page.on('pageerror', (error) => record.errors.push(error.message))
  page.on('console', (message) => {
    if (
      message.type() === 'error' &&
      !/WebSocket connection|Failed to load resource|ERR_CONNECTION/.test(message.text())
    )
      record.errors.push(message.text())
  })
  page.on('dialog', (dialog) => {
    record.dialogs.push(dialog.message())
    dialog.dismiss()
  })
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url())
    if (protocol.startsWith('http')) record.hosts.add(host)
  })
  return Object.assign(page, { record })
}

/** Opens a share's page, and waits until it has all that is stored. */
export async function openShare(browser, share, options) {
  const page = await openPage(browser, options)
  await page.goto(share.url)
  await live(page)
  return page
}

/** Opens everything of a session that stands as it opens, and has all of it drawn. */
export async function openAll(page) {
  // The edits stand open: the first closes them, the second opens everything.
  await page.keyboard.press('o')
  await page.keyboard.press('o')
  await page.evaluate(async () => {
    for (let at = 0; at < document.documentElement.scrollHeight; at += 500) {
      scrollTo(0, at)
      // What comes into view is drawn in the first frame, and what waits for that is told in the second.
      for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame)
    }
  })
}

export const live = (page) => page.locator('.state[data-state=live]').waitFor()

/** Waits until a message or a part stands before the reader. That it was marked a slow machine may not see in time. */
export const shown = (page, id) =>
  page.waitForFunction((id) => {
    const { top, height } = document.getElementById(id)?.getBoundingClientRect() ?? {}
    return height > 0 && top > -1 && top < innerHeight
  }, id)

/** Waits until a page's title is so: it is brought up to date a moment behind what is seen. */
export const titled = (page, title) =>
  page.waitForFunction((title) => new RegExp(title, 'u').test(document.title), title.source)

/** The batches of the recorded session. */
export async function recordedBatches() {
  const text = await readFile(new URL('../fixtures/opencode-session.jsonl', import.meta.url), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).body.data)
    .filter(Boolean)
}

export async function shareRecorded(server) {
  const share = await server.share()
  for (const batch of await recordedBatches()) await share.sync(...batch)
  return share
}
