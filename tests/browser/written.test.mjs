// What stands in the page before any script runs: the same words, under the same rules, and then the page itself.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answer, openPage, prompt, session, setUp, shareRecorded, text, tool } from '../lib/browser.mjs'
import { HOSTILE } from '../lib/hostile.mjs'

const { browser, server } = await setUp()

/** Lets no script of a page come until it is told to. */
async function holdScripts(page) {
  let letCome
  const may = new Promise((resolve) => (letCome = resolve))
  await page.route('**/*.js', async (route) => {
    await may
    await route.continue()
  })
  return letCome
}

test('without scripts the session is read all the same', async () => {
  const share = await shareRecorded(server)
  const page = await openPage(browser, { javaScriptEnabled: false, viewport: { width: 390, height: 844 } })
  await page.goto(share.url)
  await page.getByRole('heading', { level: 1, name: 'Greeting script session' }).waitFor()
  await page.getByText('Write a greeting script and test it').waitFor()
  await page.getByRole('link', { name: 'Markdown' }).waitFor()
  assert.deepEqual(page.record.errors, [])
  await page.context().close()
})

test('the prompt is seen before a script has come, and gives way to the page', async () => {
  const share = await server.share()
  await share.sync(session(), ...prompt('Seen at once?'), ...answer([text('**Yes**, it is.')]))
  const page = await openPage(browser)
  const letScriptsCome = await holdScripts(page)
  await page.goto(share.url, { waitUntil: 'commit' })
  await page.locator('.written strong', { hasText: 'Yes' }).waitFor()
  assert.equal(await page.locator('.prompt-text').innerText(), 'Seen at once?')
  letScriptsCome()
  await page.locator('.state[data-state=live]').waitFor()
  assert.equal(await page.locator('.written').count(), 0)
  assert.equal(await page.locator('.prompt-text').innerText(), 'Seen at once?')
  assert.deepEqual(page.record.errors, [])
  await page.context().close()
})

test('who has read on already stays where they are', async () => {
  const share = await server.share()
  const turns = Array.from({ length: 30 }, (_, at) => [
    ...prompt(`Question ${at}`),
    ...answer([tool('bash', { command: 'make' }, { output: 'made' }), text('An answer. '.repeat(100))]),
  ])
  await share.sync(session(), ...turns.flat())
  const page = await openPage(browser)
  const letScriptsCome = await holdScripts(page)
  await page.goto(share.url, { waitUntil: 'commit' })
  const question = page.locator('.prompt-text', { hasText: 'Question 20' })
  await question.waitFor()
  const turn = page.locator('.turn', { has: question })
  await turn.evaluate((node) => node.scrollIntoView({ block: 'start' }))
  // Sizes of what was far away are known now.
  await turn.evaluate((node) => scrollBy(0, node.getBoundingClientRect().top))
  letScriptsCome()
  await page.locator('.state[data-state=live]').waitFor()
  await page.waitForFunction((node) => Math.abs(node.getBoundingClientRect().top) < 60, await turn.elementHandle())
  await page.context().close()
})

test('nothing is written that the page itself would take out', async () => {
  const share = await server.share()
  const items = HOSTILE.flatMap((evil) => [
    ...prompt(evil),
    ...answer([
      text(evil),
      text(`# ${evil}\n\n- [x] ${evil}\n\n| a |\n|:-|\n| ${evil} |`),
      tool(evil, { command: evil }),
    ]),
  ])
  await share.sync(session({ title: HOSTILE.join(' '), directory: HOSTILE.join(' ') }), ...items)
  const page = await openPage(browser)
  await page.route('**/start.js', (route) => route.abort())
  await page.goto(share.url)
  const found = await page.evaluate(async () => {
    const app = document.querySelector('script[type=module]').src
    const { toFragment } = await import(new URL('sanitize.js', app).href)
    const scripts = document.querySelectorAll('script').length
    const pieces = [...document.querySelectorAll('.piece')]
    const odd = []
    for (const piece of pieces) {
      const node = document.createElement('div')
      node.append(toFragment(piece.innerHTML))
      for (const [at, one] of [...piece.querySelectorAll('*')].entries()) {
        const other = node.querySelectorAll('*')[at]
        const names = ({ attributes }) =>
          Array.from(attributes, ({ name, value }) => `${name}=${value}`)
            .sort()
            .join()
        if (!other || one.nodeName !== other.nodeName || names(one) !== names(other)) {
          odd.push(`${one.outerHTML} was ${other?.outerHTML}`)
          break
        }
      }
    }
    const outside = [...document.querySelectorAll('body *')].filter((node) => !node.closest('.piece'))
    const known = /^(header|main|noscript|div|h1|h2|span|p|section|code|a)$/i
    odd.push(...outside.filter(({ nodeName }) => !known.test(nodeName)).map(({ outerHTML }) => outerHTML))
    return { scripts, pieces: pieces.length, odd }
  })
  assert.equal(found.scripts, 1)
  assert.ok(found.pieces >= HOSTILE.length)
  assert.deepEqual(found.odd, [])
  assert.deepEqual(page.record.errors, [])
  assert.deepEqual([...page.record.hosts], [new URL(server.url).host])
  await page.context().close()
})
