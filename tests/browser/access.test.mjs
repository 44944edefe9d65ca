// axe finds nothing, in light and dark, on a desk and a phone; the keyboard reaches everything.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { axeFinds } from '../lib/axe.mjs'
import {
  answer,
  openAll,
  openPage,
  openShare,
  prompt,
  session,
  setUp,
  shareRecorded,
  text,
  tool,
} from '../lib/browser.mjs'

const { browser, server } = await setUp()
const share = await shareRecorded(server)

const check = async (page, what) => assert.deepEqual(await axeFinds(page), [], what)

// Each colour and each width once; `measure.mjs axe` tries all of them together.
for (const [colorScheme, viewport] of [
  ['light', { width: 1440, height: 900 }],
  ['dark', { width: 390, height: 844 }],
]) {
  test(`axe finds nothing: ${colorScheme}, ${viewport.width} wide`, async () => {
    const page = await openShare(browser, share, { colorScheme, viewport })
    await check(page, 'as it opens')
    await openAll(page)
    await page.waitForFunction(() => !document.querySelector('.turn .code [data-lazy]'))
    await check(page, 'all open')
    await page.keyboard.press('/')
    await check(page, 'search')
    await page.keyboard.press('Escape')
    await page.keyboard.press('c')
    await check(page, 'changes')
    await page.keyboard.press('Escape')
    await page.keyboard.press('p')
    await page.locator('.player').waitFor()
    await page.keyboard.press('e')
    await check(page, 'playback')
    assert.ok(
      await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
      'nothing is wider than the screen',
    )
  })
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

// Walks: what a reader meets who has no mouse, or hears the page.

const longSession = [
  session({ title: 'Three turns' }),
  ...[1, 2, 3].flatMap((nth) => [
    ...prompt(`Ask number ${nth}`),
    ...answer([
      { type: 'reasoning', text: 'Hm, let me see' },
      tool('read', { filePath: `src/a${nth}.rs` }),
      tool('grep', { pattern: 'fn main' }),
      tool('bash', { command: `make step${nth}` }, { output: 'made', metadata: { exit: nth === 2 ? 1 : 0 } }),
      tool('edit', { filePath: `src/b${nth}.rs` }, { metadata: { diff: '--- a\n+++ b\n@@ -1 +1 @@\n-one\n+two\n' } }),
      text('Done.\n\n```rust\nfn main() {}\n```\n'),
    ]),
  ]),
]

async function openWalk(options, items = longSession) {
  const share = await server.share()
  await share.sync(...items)
  const page = await openShare(browser, share, { reducedMotion: 'reduce', ...options })
  await page.locator('.errors:not([hidden])').waitFor({ state: 'attached' })
  return page
}

/** What is heard of the page: roles, names and levels, in order. */
async function heard(page) {
  const client = await page.context().newCDPSession(page)
  const { nodes } = await client.send('Accessibility.getFullAXTree')
  await client.detach()
  const level = ({ properties = [] }) => properties.find(({ name }) => name === 'level')?.value.value
  return nodes
    .filter(({ ignored }) => !ignored)
    .map((node) => ({ role: node.role.value, name: node.name?.value.trim() ?? '', level: level(node) }))
}

test('headings say what was asked, and groups what they hold', async () => {
  const page = await openWalk()
  const nodes = await heard(page)
  const headings = nodes.filter(({ role }) => role === 'heading').map(({ name, level }) => `${level} ${name}`)
  assert.ok(headings.includes('1 Three turns'))
  for (const nth of [1, 2, 3])
    assert.ok(
      headings.some((heading) => heading.endsWith(`: Ask number ${nth}`)),
      headings,
    )
  assert.equal(headings.filter((heading) => heading === '3 Answer').length, 3)
  assert.equal(new Set(headings.filter((heading) => heading.startsWith('2'))).size, headings.length - 4)
  const groups = await page
    .locator('.timeline')
    .evaluate((root) => [...root.querySelectorAll('details')].map((details) => details.getAttribute('aria-label')))
  for (const name of ['Shell make step1', 'Edit src/b2.rs', 'Looked at 1 file, 1 search', 'Thought Hm, let me see'])
    assert.ok(groups.includes(name), `${name} in ${groups}`)
  assert.ok(!groups.includes(null) && !groups.includes(''))
  const heardGroups = nodes.filter(({ role }) => role === 'group').map(({ name }) => name)
  assert.ok(heardGroups.includes('Shell make step3'), `${heardGroups}`)
})

/** Where the focus is: the element's name, and whether it can be seen there. */
const stop = (page) =>
  page.evaluate(() => {
    const node = document.activeElement
    if (node === document.body) return undefined
    const { outlineStyle, outlineWidth, opacity } = getComputedStyle(node)
    const { width, height, top, bottom, left, right } = node.getBoundingClientRect()
    const label = node.labels?.[0]?.textContent ?? ''
    return {
      name: (node.getAttribute('aria-label') || node.title || label || node.textContent).trim(),
      place: ['.skip', '.top', '.outline', '.head', '.turn', '.player', '.review', 'dialog'].find((name) =>
        node.closest(name),
      ),
      turn: node.closest('.turn')?.id,
      isSeen:
        outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1 && Number(opacity) === 1 && width > 0 && height > 0,
      isOnScreen: bottom > 0 && top < innerHeight && right > 0 && left < innerWidth,
    }
  })

/** Goes on by Tab, until the focus leaves the page; gives the stops. */
async function walk(page) {
  const stops = []
  for (;;) {
    await page.keyboard.press('Tab')
    const here = await stop(page)
    if (!here || (stops.length && here.place === '.skip')) return stops
    stops.push(here)
    assert.ok(stops.length < 300, 'the walk comes to an end')
  }
}

test('the first stop skips what is around the session, and each has a name and is seen', async () => {
  const page = await openWalk()
  const stops = await walk(page)
  assert.equal(stops[0].place, '.skip')
  assert.equal(new Set(stops.map(({ turn }) => turn).filter(Boolean)).size, 3)
  for (const { name, isSeen, isOnScreen, place } of stops)
    assert.ok(name && isSeen && isOnScreen, JSON.stringify({ name, isSeen, isOnScreen, place }))
  await page.evaluate(() => document.activeElement.blur())
  await page.locator('.skip').focus()
  await page.keyboard.press('Enter')
  assert.equal((await stop(page)).place, '.turn')
  await page.keyboard.press('Tab')
  const { turn } = await stop(page)
  assert.equal(turn, await page.locator('.turn').first().getAttribute('id'))
})

const focused = (page, selector) =>
  page.waitForFunction((selector) => document.activeElement?.closest(selector), selector)

test('menus are opened, gone through and left by keys', async () => {
  const page = await openWalk()
  for (const label of ['View', 'Share']) {
    const menu = page.locator('.menu', { has: page.getByText(label, { exact: true }) })
    const isOpen = () => menu.evaluate((details) => details.open)
    await menu.locator('summary').focus()
    await page.keyboard.press('Enter')
    assert.ok(await isOpen())
    await page.keyboard.press('ArrowDown')
    await focused(page, '.menu-body')
    await page.keyboard.press('ArrowUp')
    await focused(page, '.menu > summary')
    await page.keyboard.press('Tab')
    await focused(page, '.menu-body')
    await page.keyboard.press('Escape')
    assert.equal(await isOpen(), false)
    await focused(page, '.menu > summary')
    await page.keyboard.press('ArrowUp')
    await focused(page, '.menu-body')
    // Who goes on leaves it closed.
    while (await menu.evaluate((details) => details.contains(document.activeElement))) await page.keyboard.press('Tab')
    assert.equal(await isOpen(), false)
  }
})

/** Opens something from a turn by a key, goes around in it, and leaves it by Esc: the focus comes back. */
async function visit(page, key, inside, steps) {
  const summary = page.locator('.turn summary', { hasText: 'make step1' })
  await summary.focus()
  await page.keyboard.press(key)
  await focused(page, inside)
  for (let step = 0; step < steps; step += 1) {
    await page.keyboard.press('Tab')
    const here = await stop(page)
    assert.ok(await page.evaluate((inside) => document.activeElement.closest(inside), inside), JSON.stringify(here))
  }
  await page.keyboard.press('Escape')
  await page.locator(inside).waitFor({ state: 'hidden' })
  assert.ok(await summary.evaluate((node) => node === document.activeElement), `${key}: the focus comes back`)
}

test('changes, help, search and playback take the focus, and give it back', async () => {
  const page = await openWalk()
  await visit(page, 'c', '.review', 3)
  await visit(page, '?', 'dialog', 0)
  await visit(page, '/', '.search', 3)
  await visit(page, 'p', '.player', 3)
})

test('a picture on its own keeps the focus until it is closed', async () => {
  const PIXEL =
    'data:image/png;base64,' +
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
  const file = { type: 'file', mime: 'image/png', filename: 'one.png', url: PIXEL }
  const failing = tool('bash', { command: 'x' }, { metadata: { exit: 1 } })
  const page = await openWalk({}, [session(), ...prompt('Look', file, file), ...answer([failing])])
  const picture = page.locator('.picture').first()
  await picture.focus()
  await page.keyboard.press('Enter')
  for (let step = 0; step < 8; step += 1) {
    await focused(page, 'dialog, html')
    assert.notEqual(await page.evaluate(() => document.activeElement.closest('.turn, .top')?.className ?? ''), 'turn')
    await page.keyboard.press('Tab')
  }
  await page.keyboard.press('Escape')
  await page.locator('dialog').waitFor({ state: 'detached' })
  assert.ok(await picture.evaluate((node) => node === document.activeElement))
})

test('the sheet of prompts takes the focus, and gives it back', async () => {
  const page = await openWalk({ viewport: { width: 390, height: 844 } })
  const button = page.getByRole('button', { name: 'Prompts' })
  await button.focus()
  await page.keyboard.press('Enter')
  await focused(page, '.outline')
  await page.keyboard.press('Escape')
  assert.ok(await button.evaluate((node) => node === document.activeElement))
  assert.equal(await page.evaluate(() => document.body.classList.contains('outline-open')), false)
})

test('at twice the size nothing is cut off sideways', async () => {
  const page = await openWalk({ viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 })
  const fits = async (what) => {
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll('button, a, summary, input, select, h1, h2')]
        .filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest('.visually-hidden'))
        .filter((node) => {
          const { left, right, width } = node.getBoundingClientRect()
          return width > 1 && (left < -1 || right > innerWidth + 1) && !node.closest('pre, .diff-scroll, .table')
        })
        .map((node) => node.outerHTML.slice(0, 100)),
    )
    assert.deepEqual(cut, [], what)
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), what)
  }
  await fits('session')
  await page.getByText('View', { exact: true }).click()
  await fits('menu')
  await page.keyboard.press('Escape')
  for (const key of ['c', '/', 'p', '?']) {
    await page.keyboard.press(key)
    await fits(key)
    await page.keyboard.press('Escape')
  }
})

test('every key that the help lists does what it says', async () => {
  const page = await openWalk()
  const is = (selector) => page.locator(selector).first().waitFor()
  const isNot = (selector) => page.locator(selector).first().waitFor({ state: 'hidden' })
  const here = () => page.evaluate(() => document.activeElement.closest('.turn')?.id)
  const ids = await page.locator('.turn').evaluateAll((turns) => turns.map(({ id }) => id))
  await page.keyboard.press('?')
  const listed = await page.locator('dialog kbd').allInnerTexts()
  await page.keyboard.press('Escape')
  const does = {
    async j() {
      assert.equal(await here(), ids[0])
      await page.keyboard.press('j')
      assert.equal(await here(), ids[1])
    },
    async k() {
      assert.equal(await here(), ids[0])
    },
    async '/'() {
      await is('.search input')
      await page.keyboard.press('Escape')
    },
    e: () => is('.part.pointed'),
    E: () => is('.part.pointed'),
    f: () => page.waitForFunction(() => scrollY + innerHeight > document.documentElement.scrollHeight - 120),
    o: () => isNot('.part > details[open]'),
    async c() {
      await is('.review')
      await page.keyboard.press('c')
      await isNot('.review')
    },
    w: () => is('html[data-wide]'),
    async p() {
      await is('.player button[aria-label=Play]')
      await page.keyboard.press('p')
      await is('.player button[aria-label=Pause]')
      await page.keyboard.press('Escape')
      await isNot('.player')
    },
    async '?'() {
      await is('dialog.help')
    },
    async Esc() {
      await isNot('dialog.help')
    },
  }
  assert.deepEqual(listed, Object.keys(does))
  for (const [key, check] of Object.entries(does)) {
    await page.keyboard.press(key === 'Esc' ? 'Escape' : key)
    await check()
  }
})

test('a key that is pressed right after something was closed counts', async () => {
  const page = await openWalk()
  for (const [opens, closed] of [
    ['?', 'dialog'],
    ['/', '.search'],
  ]) {
    await page.keyboard.press(opens)
    await page.locator(closed).waitFor()
    await page.evaluate((closed) => {
      const node = document.querySelector(closed)
      const { activeElement } = document
      if (node.close) node.close()
      else activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }))
      document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'j', bubbles: true }))
    }, closed)
    await page.waitForFunction(() => document.activeElement.matches('.turn'))
    await page.evaluate(() => document.activeElement.blur())
  }
})
