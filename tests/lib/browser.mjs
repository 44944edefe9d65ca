// A real Chromium, and what a page of it did that it should not have.

import { readFile } from 'node:fs/promises'
import { after } from 'node:test'

import { chromium } from 'playwright-core'

import { Server } from './server.mjs'

const ARGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS })

/** A browser and a server for the tests of one file. */
export async function setUp() {
  const [browser, server] = await Promise.all([launch(), Server.start()])
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
    if (message.type() === 'error' && !/WebSocket connection|Failed to load resource|ERR_CONNECTION/.test(message.text())) record.errors.push(message.text())
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

export const live = (page) => page.locator('.state[data-state=live]').waitFor()

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

let made = 0
const BASE = 1_795_000_000_000

export const session = (data = {}) => ({ type: 'session', data: { id: 'ses_1', title: 'A session', time: { created: BASE, updated: BASE }, ...data } })

/** A prompt: its message and its text. */
export function prompt(text, ...files) {
  const id = `msg_${String(++made).padStart(6, '0')}`
  return [
    { type: 'message', data: { id, role: 'user', time: { created: BASE + made }, agent: 'build', model: { providerID: 'p', modelID: 'm' } } },
    { type: 'part', data: { id: `prt_${id}_0`, messageID: id, type: 'text', text } },
    ...files.map((file, at) => ({ type: 'part', data: { id: `prt_${id}_${at + 1}`, messageID: id, type: 'file', ...file } })),
  ]
}

/** An answer: its message and its parts. */
export function answer(parts, info = {}) {
  const id = `msg_${String(++made).padStart(6, '0')}`
  const time = { created: BASE + made, completed: BASE + made + 1500 }
  return [
    { type: 'message', data: { id, role: 'assistant', time, modelID: 'm', providerID: 'p', cost: 0.01, tokens: { input: 10, output: 5 }, ...info } },
    ...parts.map((part, at) => ({ type: 'part', data: { id: `prt_${id}_${String(at).padStart(3, '0')}`, messageID: id, ...part } })),
  ]
}

export const text = (words) => ({ type: 'text', text: words })

export const tool = (name, input, state = {}) => ({
  type: 'tool',
  tool: name,
  callID: 'c',
  state: { status: 'completed', input, output: '', title: '', metadata: {}, time: { start: BASE, end: BASE + 1200 }, ...state },
})
