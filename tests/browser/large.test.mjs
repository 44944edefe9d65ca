// A long session is as easy as a short one.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answer, openPage, setUp, text } from '../lib/browser.mjs'
import { shareLarge } from '../lib/large.mjs'

const { browser, server } = await setUp()

test('two thousand parts: all there, found, printed, linked, and still live', async () => {
  const share = await shareLarge(server, 2000, 6 << 20)
  const page = await openPage(browser)
  let pages = 0
  page.on('response', (response) => (pages += response.url().includes('/items') ? 1 : 0))
  await page.goto(share.url)
  await page.waitForFunction(() => document.querySelector('.state[data-state=live]'), null, { polling: 100 })
  assert.ok(pages > 3, 'it came in pages, and the first was shown first')
  assert.equal(await page.locator('.turn').count(), 80)
  assert.equal(await page.locator('.outline li').count(), 80)

  // Far from the screen texts wait to be drawn, and can be found all the same.
  const far = await page.evaluate(
    () => [...document.querySelectorAll('.turn')].at(-2).querySelector('.answer .markdown[data-lazy]')?.textContent,
  )
  assert.ok(far.includes('part_'))
  assert.ok(await page.evaluate(() => window.find('part_1944')))

  const last = await page.locator('.turn').last().getAttribute('id')
  await page.evaluate((id) => (location.hash = id), last)
  await page.waitForFunction((id) => Math.abs(document.getElementById(id).getBoundingClientRect().top) < 200, last)

  await share.sync(...answer([text('the newest of all')]))
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.turn:last-child .part')].some((node) =>
      node.textContent.includes('the newest of all'),
    ),
  )

  await page.evaluate(() => dispatchEvent(new Event('beforeprint')))
  assert.equal(await page.locator('.turn [data-lazy]').count(), 0)
  assert.deepEqual(page.record.errors, [])
})
