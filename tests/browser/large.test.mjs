// A long session is as easy as a short one.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answer, live, openPage, openShare, prompt, session, setUp, text, titled, tool } from '../lib/browser.mjs'
import { shareLarge } from '../lib/large.mjs'
import { traced } from '../lib/trace.mjs'

const { browser, server } = await setUp()

/** Opens a share's page for a reader who has outputs open always: turns are taller then than they are thought to be. */
async function openWithOutputs(share, options) {
  const page = await openPage(browser, options)
  await page.addInitScript(() => localStorage.setItem('brutus-share', JSON.stringify({ open: ['tool'] })))
  await page.goto(share.url)
  await live(page)
  return page
}

/** So many frames of so many pixels. */
const scroll = (page, frames, by) =>
  page.evaluate(
    async ({ frames, by }) => {
      for (let frame = 0; frame < frames; frame += 1) {
        scrollBy(0, by)
        await new Promise(requestAnimationFrame)
      }
    },
    { frames, by },
  )

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

  // Far from the screen turns wait to be drawn, and can be found all the same.
  const far = page.locator('.turn').nth(-2)
  assert.equal(await far.locator('.part').count(), 0)
  assert.match(await far.locator('.answer').textContent(), /part_1956/)
  assert.ok(await page.evaluate(() => window.find('part_1956')))
  await page.evaluate(() => getSelection().anchorNode.parentElement.scrollIntoView())
  await far.locator('.part-text', { hasText: 'part_1956' }).waitFor()
  assert.equal(await far.locator('.stand-in').count(), 0)

  const last = await page.locator('.turn').last().getAttribute('id')
  await page.evaluate((id) => (location.hash = id), last)
  await page.waitForFunction((id) => Math.abs(document.getElementById(id).getBoundingClientRect().top) < 200, last)

  await share.sync(...answer([text('the newest of all')]))
  await page.waitForFunction(() =>
    [...[...document.querySelectorAll('.turn')].at(-1).querySelectorAll('.part')].some((node) =>
      node.textContent.includes('the newest of all'),
    ),
  )

  const left = await page.evaluate(() => {
    dispatchEvent(new Event('beforeprint'))
    return document.querySelectorAll('.turn [data-lazy]').length
  })
  assert.equal(left, 0)
  assert.deepEqual(page.record.errors, [])
})

test('what comes near is drawn before it is laid out: by scrolling, and when what is above is folded', async () => {
  const share = await server.share()
  const turn = (nth) => [
    ...prompt(`Asked ${nth}`),
    ...answer([
      tool('bash', { command: 'make' }, { output: 'line\n'.repeat(60) }),
      text(`**Bold ${nth}**\n\n${'Words of it. '.repeat(100)}`),
    ]),
  ]
  await share.sync(session(), ...Array.from({ length: 60 }, (_, nth) => turn(nth)).flat())
  const page = await openWithOutputs(share, { viewport: { width: 1280, height: 400 } })

  // All of it, before the browser lays it out: nothing that stands in is laid out first.
  await page.evaluate(() => document.querySelectorAll('.turn')[30].scrollIntoView())
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.turn:not([data-lazy]) .prompt:not(:has(.verbatim)) ~ .answer strong')].some(
      (node) => !node.checkVisibility({ contentVisibilityAuto: true }),
    ),
  )

  // What open outputs push away comes near when they are folded.
  const turns = page.locator('.turn')
  await turns.nth(40).evaluate((node) => node.scrollIntoView())
  await turns.nth(40).locator('strong').waitFor()
  const far = await turns.evaluateAll((all) => all.findIndex((node, at) => at > 40 && 'lazy' in node.dataset))
  for (let nth = 40; nth < far; nth += 1) await turns.nth(nth).locator('.part-tool summary').click()
  await turns.nth(far).locator('strong').waitFor()
  assert.deepEqual(page.record.errors, [])
})

test('who goes to the end is there, also when what stands before it is drawn only then', async () => {
  const share = await server.share()
  const turn = (nth) => [
    ...prompt(`Asked ${nth}`),
    ...answer([tool('bash', { command: 'make' }, { output: 'line\n'.repeat(60) }), text(`**Bold ${nth}**`)]),
  ]
  const turns = Array.from({ length: 40 }, (_, nth) => turn(nth))
  await share.sync(session(), ...turns.flat(), ...prompt('And?'), ...answer([text('The **end**.')]))
  const page = await openWithOutputs(share)
  const before = page.locator('.turn').nth(-2)
  assert.equal(await before.locator('.output').count(), 0, 'what stands before the end is not drawn yet')
  await page.keyboard.press('f')
  await before.locator('.output').waitFor()
  const isAtEnd = () => scrollY + innerHeight > document.documentElement.scrollHeight - 2
  await page.waitForFunction(isAtEnd)
  assert.deepEqual(page.record.errors, [])
})

test('a slow phone lays out once a frame what comes near while one scrolls', async () => {
  const share = await server.share()
  const turn = (nth) => [...prompt(`Asked ${nth}`), ...answer([text(`- **Bold ${nth}**\n${'- words\n'.repeat(40)}`)])]
  await share.sync(session(), ...Array.from({ length: 80 }, (_, nth) => turn(nth)).flat())
  const page = await openShare(browser, share, { viewport: { width: 390, height: 844 } })
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 80)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 })
  const { forced } = await traced(browser, page, () => scroll(page, 240, 200))
  const drawn = await page.locator('.turn:not([data-lazy])').count()
  assert.ok(drawn > 40, `${drawn} turns are drawn`)
  // Turns have over 80 boxes each; a button that is shown or hidden has some.
  assert.deepEqual(
    forced.filter((boxes) => boxes > 20),
    [],
  )
  assert.deepEqual(page.record.errors, [])
})

test('who leafs fast through a session sees how each turn begins, and all of the one where they stop', async () => {
  const share = await server.share()
  const turn = (nth) => [...prompt(`Asked ${nth}`), ...answer([text(`Done **${nth}**\n\n${'- words\n'.repeat(40)}`)])]
  await share.sync(session(), ...Array.from({ length: 120 }, (_, nth) => turn(nth)).flat())
  const page = await openShare(browser, share, { viewport: { width: 390, height: 844 } })
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 120)
  const heightNow = () => page.evaluate(() => document.documentElement.scrollHeight)
  const before = await heightNow()

  await scroll(page, 120, 400)
  const passed = page.locator('.turn[data-lazy]').filter({ hasText: /Done \*\*[234]\d/ })
  assert.ok((await passed.count()) > 20, 'what was out of sight again in a moment is not drawn')
  const moved = Math.abs((await heightNow()) - before) / before
  assert.ok(moved < 0.02, `the page's height has changed by ${moved}`)

  const read = await page.evaluateHandle(() => document.elementFromPoint(190, 420).closest('.turn'))
  await page.waitForFunction((node) => node.querySelector('strong'), read)
  assert.deepEqual(page.record.errors, [])
})

test('what is found far away is brought to the screen, and stays there', async () => {
  const share = await server.share()
  const turn = (nth) => [
    ...prompt(`Asked ${nth}`),
    ...answer([text(`Answer_${nth}\n\n${'- words\n'.repeat(nth % 60)}`)]),
  ]
  await share.sync(session(), ...Array.from({ length: 120 }, (_, nth) => turn(nth)).flat())
  const page = await openShare(browser, share)
  await page.waitForFunction(() => document.querySelectorAll('.turn').length === 120)
  for (const nth of [77, 31, 113]) {
    assert.ok(await page.evaluate((words) => window.find(words, false, false, true), `Answer_${nth}`))
    const top = await page.evaluate(() => {
      const found = getSelection().anchorNode.parentElement.closest('.turn')
      found.scrollIntoView()
      return found.getBoundingClientRect().top
    })
    const turn = page.locator('.turn').nth(nth)
    await turn.locator('.part-text', { hasText: `Answer_${nth}` }).waitFor()
    // What is around it is drawn in the frames after.
    await page.waitForFunction((nth) => {
      const around = [...document.querySelectorAll('.turn')].slice(nth - 1, nth + 2)
      return around.every((node) => !node.matches('[data-lazy], :has([data-lazy])'))
    }, nth)
    const now = await turn.evaluate((node) => node.getBoundingClientRect().top)
    assert.ok(Math.abs(now - top) < 30, `Answer_${nth} stood at ${top} and stands at ${now}`)
  }
  assert.deepEqual(page.record.errors, [])
})

// A browser goes through all of a document when an element with a counter comes into it.
test('what comes into a long page counts nothing', async () => {
  const share = await server.share()
  const kinds = [
    text('1. one\n2. two\n\n<details>\n<summary>s</summary>\n\nx\n</details>'),
    tool('read', { filePath: 'a' }),
  ]
  await share.sync(session(), ...prompt('Asked'), ...answer(kinds))
  const page = await openShare(browser, share)
  await page.locator('.markdown details').waitFor()
  const counting = await page.evaluate(() =>
    [...document.querySelectorAll('*')]
      .filter((node) =>
        [getComputedStyle(node).counterIncrement, getComputedStyle(node).counterReset].some((is) => is !== 'none'),
      )
      .map(({ outerHTML }) => outerHTML.slice(0, 100)),
  )
  assert.deepEqual(counting, [])
})

test('what is synced changes as little of a long page as of a short one', async () => {
  const changes = []
  for (const turns of [20, 100]) {
    const share = await server.share()
    const turn = (nth) => [...prompt(`Prompt ${nth}`), ...answer([text(`Answer ${nth}`)])]
    await share.sync(session(), ...Array.from({ length: turns }, (_, nth) => turn(nth)).flat())
    const page = await openShare(browser, share)
    await page.waitForFunction((turns) => document.querySelectorAll('.outline-list > ol > li').length === turns, turns)
    await page.evaluate(() => {
      window.changes = 0
      new MutationObserver((records) => (window.changes += records.length)).observe(document.documentElement, {
        ...{ subtree: true, childList: true, attributes: true, characterData: true },
      })
    })
    await share.sync(session({ title: 'Another title' }), ...answer([text('the newest')]))
    await titled(page, /Another title/)
    changes.push(await page.evaluate(() => window.changes))
    await page.context().close()
  }
  const [short, long] = changes
  assert.ok(long < 2 * short, `${short} changes, and ${long}`)
})
