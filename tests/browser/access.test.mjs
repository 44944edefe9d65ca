// axe finds nothing, in light and dark, on a desk and a phone; the keyboard reaches everything.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AxeBuilder } from '@axe-core/playwright'

import { openPage, openShare, setUp, shareRecorded } from '../lib/browser.mjs'

const { browser, server } = await setUp()
const share = await shareRecorded(server)

async function check(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze()
  assert.deepEqual(
    violations.map(({ id, nodes }) => [
      id,
      nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ''}`),
    ]),
    [],
    what,
  )
}

for (const colorScheme of ['light', 'dark']) {
  for (const viewport of [
    { width: 1440, height: 900 },
    { width: 390, height: 844 },
  ]) {
    test(`axe finds nothing: ${colorScheme}, ${viewport.width} wide`, async () => {
      const page = await openShare(browser, share, { colorScheme, viewport })
      await check(page, 'as it opens')
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
      await page.waitForFunction(() => !document.querySelector('.turn .code [data-lazy]'))
      await check(page, 'all open')
      await page.keyboard.press('/')
      await page.keyboard.press('Escape')
      await page.keyboard.press('c')
      await check(page, 'changes')
      await page.keyboard.press('Escape')
      assert.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        'nothing is wider than the screen',
      )
    })
  }
}

test('axe finds nothing where there is nothing', async () => {
  const waiting = await openShare(browser, await server.share())
  await check(waiting, 'waiting')
  const missing = await openPage(browser)
  await missing.goto(`${server.url}/s/0123456789abcdefghijkl`)
  await check(missing, 'missing')
})

test('reduced motion is honoured', async () => {
  const page = await openShare(browser, share, { reducedMotion: 'reduce' })
  const moving = await page.evaluate(() => document.getAnimations().length)
  assert.equal(moving, 0)
})
