// A session is played back as it was seen live, and the reader comes back to where they were.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { answer, openShare, prompt, session, setUp, shareRecorded, text, tool } from '../lib/browser.mjs'
import { SealedShare } from '../lib/sealing.mjs'

const { browser, server } = await setUp()

const NOON = 1_800_000_000_000
const at = (seconds) => NOON + seconds * 1000

/** A prompt at a second, and an answer, with a text of ten words that takes ten seconds and a command. */
function turn(second, exit = 0) {
  const [ask, ...words] = prompt(`Prompt at ${second}`)
  ask.data.time.created = at(second)
  const time = { start: at(second + 11), end: at(second + 13) }
  const command = tool('bash', { command: `make ${second}` }, { output: `made ${second}`, metadata: { exit }, time })
  const said = text('one two three four five six seven eight nine ten')
  const answered = { time: { created: at(second + 1), completed: at(second + 14) } }
  const [message, answers, ...calls] = answer([said, command], answered)
  answers.data.time = { start: at(second + 1), end: at(second + 11) }
  return [ask, ...words, message, answers, ...calls]
}

async function shareOf(...items) {
  const share = await server.share()
  await share.sync(session({ title: 'Played' }), ...items.flat())
  return share
}

const player = (page) => page.locator('.player')
const goTo = (page, address) => page.evaluate((address) => (location.hash = address), address)
const words = (page) => page.locator('.timeline').innerText()
/** What there is, and what is said of each thing. */
const outline = (page) =>
  page
    .locator('.timeline')
    .evaluate((root) =>
      [...root.querySelectorAll('.turn, .part, summary, .turn-foot')].map((node) =>
        node.matches('summary, .turn-foot') ? node.textContent : `${node.id} ${node.dataset.status ?? ''}`,
      ),
    )
const time = async (page) => (await page.locator('.player-clock').innerText()).split(' / ')[0]

/** Waits until the clock shows a time. */
const shows = (page, time) =>
  page.waitForFunction((time) => document.querySelector('.player-clock').textContent.startsWith(`${time} /`), time)

test('prompts appear, answers grow by words, tools run and are done', async () => {
  const share = await shareOf(turn(0), turn(60, 1))
  const page = await openShare(browser, { url: `${share.url}#t=0` })
  await player(page).waitFor()
  assert.match(await words(page), /Prompt at 0/)
  assert.doesNotMatch(await words(page), /one|Prompt at 60/)
  await goTo(page, '#t=5')
  await page.locator('.timeline').getByText('one two three four five', { exact: true }).waitFor()
  await goTo(page, '#t=12')
  await page.locator('.timeline').getByText('one two three four five six seven eight nine ten').waitFor()
  assert.equal(await page.locator('[data-status=running]').count(), 1)
  assert.doesNotMatch(await words(page), /made 0/)
  await goTo(page, '#t=74')
  await page.getByText('made 60').waitFor()
  assert.equal(await page.locator('[data-status=completed]').count(), 2)
  await goTo(page, '#t=5')
  await page.locator('.timeline').getByText('one two three four five', { exact: true }).waitFor()
  assert.equal(await page.locator('.turn').count(), 1)
  assert.deepEqual(page.record.errors, [])
})

test('it plays by itself as fast as is chosen, to its end, where all is as the session is', async () => {
  const share = await shareRecorded(server)
  const page = await openShare(browser, share)
  const whole = await outline(page)
  await page.getByText('View', { exact: true }).click()
  await page.getByText('Play the session back').click()
  await player(page).waitFor()
  await page.getByLabel('Speed').selectOption('16')
  await shows(page, '0:20')
  await page.locator('.player button[aria-label=Play]').waitFor()
  assert.deepEqual(await outline(page), whole)
  // From its end it begins anew.
  await page.locator('.player button[aria-label=Play]').click()
  await page.waitForFunction(() => Number(document.querySelector('.player input').value) < 8000)
  await page.locator('.player button[aria-label=Pause]').click()
  assert.deepEqual(page.record.errors, [])
})

test('keys and marks lead to prompts and to what failed, and the address says the time', async () => {
  const share = await shareOf(turn(0), turn(60, 1), turn(120))
  const page = await openShare(browser, { url: `${share.url}#t=0` }, { reducedMotion: 'reduce' })
  await player(page).waitFor()
  for (const [key, shown] of [
    ['j', '1:00'],
    ['j', '2:00'],
    ['k', '1:00'],
    ['e', '1:13'],
  ]) {
    await page.keyboard.press(key)
    assert.equal(await time(page), shown, key)
  }
  await page.waitForFunction(() => location.hash === '#t=73')
  const [first, , failed] = await page.locator('.lane i').all()
  assert.equal(await page.locator('.lane i').count(), 4)
  await first.click()
  assert.equal(await time(page), '0:00')
  await failed.click()
  assert.equal(await time(page), '1:13')
  assert.equal(await failed.evaluate((mark) => mark.dataset.outcome), 'failed')
  const scrubber = page.getByRole('slider')
  await scrubber.focus()
  await page.keyboard.press('Home')
  await shows(page, '0:00')
  await page.keyboard.press('ArrowRight')
  await shows(page, '0:11')
  assert.equal(await scrubber.getAttribute('aria-valuetext'), '11.4 s of 2 min 14 s, 1. Prompt at 0')
  await page.keyboard.press('End')
  await shows(page, '2:14')
  // A key that is the page's own is so on the scrubber too.
  await page.keyboard.press('p')
  await page.locator('.player button[aria-label=Pause]').waitFor()
})

test('who leaves is where they were, with what was open, and sees what has come meanwhile', async () => {
  const share = await shareOf(...Array.from({ length: 12 }, (_, nth) => turn(nth * 60)))
  const page = await openShare(browser, share)
  const command = page.locator('.turn').nth(6).locator('details')
  await command.scrollIntoViewIfNeeded()
  await command.locator('summary').click()
  // Where it is once all around it is drawn.
  const top = () =>
    command.evaluate(async (node) => {
      const place = () => Math.round(node.getBoundingClientRect().top)
      let [last, still] = [place(), 0]
      while (still < 20) {
        await new Promise(requestAnimationFrame)
        still = place() === last ? still + 1 : 0
        last = place()
      }
      return last
    })
  const before = await top()
  await page.keyboard.press('p')
  await player(page).waitFor()
  const focus = () => page.evaluate(() => document.activeElement.closest('.player')?.className)
  assert.equal(await focus(), 'player')
  await share.sync(...turn(800))
  await page.keyboard.press('k')
  await page.keyboard.press('Escape')
  await player(page).waitFor({ state: 'hidden' })
  assert.equal(await page.evaluate(() => location.hash), '')
  await page.locator('.turn').nth(12).waitFor()
  assert.ok(await command.evaluate((details) => details.open))
  assert.equal(await top(), before)
  assert.equal(await command.evaluate((details) => details.firstChild === document.activeElement), true)
  // And it is in what is played next.
  await page.keyboard.press('p')
  await page.locator('.lane i').nth(12).waitFor()
  assert.deepEqual(page.record.errors, [])
})

test('places of the session and its other room end it; a link keeps what it carries', async () => {
  const share = await SealedShare.create(server)
  await share.sync(session({ title: 'Played' }), ...turn(0), ...turn(60))
  const page = await openShare(browser, { url: `${share.url}&t=61` })
  await shows(page, '1:01')
  await page.locator('.tab', { hasText: 'Changes' }).click()
  await page.locator('.review').waitFor()
  assert.equal(await player(page).isVisible(), false)
  assert.equal(await page.evaluate(() => location.hash), `#k1=${share.key}&changes`)
  await page.goBack()
  await shows(page, '1:01')
  await page.keyboard.press('/')
  await page.locator('.search input').waitFor()
  assert.equal(await player(page).isVisible(), false)
  await page.keyboard.press('Escape')
  await page.goBack()
  await shows(page, '1:01')
  await page.locator('.turn').first().locator('.anchor').first().click({ force: true })
  await player(page).waitFor({ state: 'hidden' })
  assert.equal(await page.locator('.turn').count(), 2)
})

test('a small step draws little, however long the session is', async () => {
  const share = await shareOf(...Array.from({ length: 60 }, (_, nth) => turn(nth * 60)))
  const page = await openShare(browser, { url: `${share.url}#t=3000` })
  await page.waitForFunction(() => document.querySelectorAll('.prompt:not([hidden])').length === 51)
  await page.evaluate(async () => {
    const timeline = document.querySelector('.timeline')
    const watch = { childList: true, subtree: true }
    // What is near is drawn a little a frame: until nothing was for a while.
    let quiet = 0
    const drawing = new MutationObserver(() => (quiet = 0))
    drawing.observe(timeline, watch)
    while (quiet++ < 30) await new Promise(requestAnimationFrame)
    drawing.disconnect()
    window.touched = new Set()
    new MutationObserver((records) => {
      for (const { target } of records) window.touched.add(target.closest('.turn')?.id ?? 'timeline')
    }).observe(timeline, watch)
  })
  await goTo(page, '#t=3014')
  await shows(page, '50:14')
  await page.getByText('made 3000').waitFor({ state: 'attached' })
  assert.deepEqual(await page.evaluate(() => [...window.touched].length), 1)
})

test('where there is nothing there is nothing to play, and who wants nothing to move begins it', async () => {
  const empty = await openShare(browser, await server.share())
  await empty.keyboard.press('p')
  assert.equal(await player(empty).isVisible(), false)
  await empty.getByText('View', { exact: true }).click()
  assert.equal(await empty.getByText('Play the session back').isVisible(), false)
  const share = await shareOf(turn(0))
  const page = await openShare(browser, share, { reducedMotion: 'reduce' })
  await page.keyboard.press('p')
  await page.locator('.player button[aria-label=Play]').waitFor()
})

test('on a phone the bar is below and a thumb reaches all of it', async () => {
  const share = await shareOf(turn(0), turn(60))
  const page = await openShare(browser, { url: `${share.url}#t=61` }, { viewport: { width: 320, height: 640 } })
  await player(page).waitFor()
  const boxes = await page.locator('.player :is(button, select, input)').evaluateAll((nodes) =>
    nodes.map((node) => {
      const { width, height, left, right, bottom } = node.getBoundingClientRect()
      return { width, height, left, right, bottom }
    }),
  )
  assert.equal(boxes.length, 5)
  for (const { width, height, left, right, bottom } of boxes)
    assert.ok(width >= 44 && height >= 44 && left >= 0 && right <= 320 && bottom <= 640, JSON.stringify(boxes))
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
})
