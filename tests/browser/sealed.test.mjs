// A session that only its readers can open: read as any other, with its key wherever one goes; and whatever a server
// does that an honest one does not is seen.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'

import { Marked } from '../../viewer/vendor/marked.min.js'
import {
  answer,
  launch,
  live,
  openPage,
  openShare,
  prompt,
  session,
  setUp,
  shown,
  text,
  titled,
  tool,
} from '../lib/browser.mjs'
import { axeFinds } from '../lib/axe.mjs'
import { shareLarge } from '../lib/large.mjs'
import { LyingProxy } from '../lib/lying.mjs'
import { SealedShare, randomKey } from '../lib/sealing.mjs'

const { browser, server } = await setUp()

const DIFF = '--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,2 @@\n fn main() {\n-    one();\n+    two();\n'
const ITEMS = [
  session({ title: 'Mend the parser', directory: '/p' }),
  ...prompt('Tell me **about** it'),
  ...answer([
    text(`Some words.\n\n${'They go on.\n\n'.repeat(40)}`),
    tool('bash', { command: 'make' }, { output: 'ok', metadata: { exit: 1 } }),
    tool('edit', { filePath: '/p/src/a.rs' }, { metadata: { diff: DIFF } }),
  ]),
  ...prompt('And then?'),
  ...answer([text(`All is done.\n\n${'It goes on.\n\n'.repeat(60)}`)]),
]
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }

async function sealed(...items) {
  const share = await SealedShare.create(server)
  await share.sync(...(items.length ? items : ITEMS))
  return share
}

/** The modules that are for sealed and protected shares alone. */
const LAZY = /\/(?:opener|seal|inflate\.min|gate|owner|take-along)\.js/

test('a plain share fetches nothing of it', async () => {
  const share = await server.share()
  await share.sync(...ITEMS)
  const page = await openPage(browser)
  const asked = []
  page.on('request', (request) => asked.push(request.url()))
  await page.goto(share.url)
  await live(page)
  assert.deepEqual(
    asked.filter((url) => LAZY.test(url)),
    [],
  )
  assert.ok(asked.some((url) => url.endsWith('/app.js')))
})

for (const [device, options] of Object.entries({ desk: {}, phone: PHONE })) {
  test(`the key stays wherever a reader goes, on a ${device}`, async () => {
    const share = await sealed()
    const page = await openShare(browser, share, { ...options, permissions: ['clipboard-read', 'clipboard-write'] })
    const fragment = () => page.evaluate(() => location.hash)
    const copied = () => page.evaluate(() => navigator.clipboard.readText())
    const open = (label) => page.getByText(label, { exact: true }).click()
    const press = (key) => page.keyboard.press(key)
    const id = await page.locator('.turn').last().getAttribute('id')
    const keyed = async (rest, what) => assert.equal(await fragment(), `#k1=${share.key}${rest}`, what)
    const seen = (id) => page.waitForFunction((id) => document.getElementById(id)?.querySelector('.pointed'), id)

    await titled(page, /Mend the parser/)
    if (device === 'phone') await page.getByRole('button', { name: 'Prompts' }).click()
    await page.locator('.outline-list a').last().click()
    await seen(id)
    await keyed(`&at=${id}`, 'the outline')
    await page.evaluate(() => scrollTo(0, 0))
    if (device === 'phone') await page.getByRole('button', { name: 'Prompts' }).click()
    await page.locator('.outline-list a', { hasText: 'And then?' }).click()
    await page.waitForFunction((id) => document.getElementById(id).getBoundingClientRect().top < 200, id)
    await page.reload()
    await live(page)
    await shown(page, id)
    await keyed(`&at=${id}`, 'a reload')
    await open('Share')
    await open('Copy link')
    assert.equal(await copied(), share.url)
    await press('Escape')
    if (device === 'desk') {
      await page
        .locator('.prompt .anchor')
        .last()
        .evaluate((anchor) => anchor.click())
      assert.equal(await copied(), `${share.url}&at=${id}`)
      await page.locator('.strip').click({ position: { x: 3, y: 30 } })
      await keyed(`&at=${await page.locator('.turn').first().getAttribute('id')}`, 'the strip of turns')
    }
    await press('/')
    await page.keyboard.type('done')
    await page.locator('.found .row').first().waitFor()
    await keyed('&q=done', 'a search')
    await press('Escape')
    await press('c')
    await page.locator('.review .diff').waitFor()
    await keyed('&changes', 'the changes')
    await page.goBack()
    await page.locator('.timeline .turn').first().waitFor()
    assert.match(await fragment(), new RegExp(`^#k1=${share.key}`))
    await press('p')
    await page.locator('.player').waitFor()
    await page.waitForFunction(() => location.hash.includes('&t='))
    assert.match(await fragment(), new RegExp(`^#k1=${share.key}&t=\\d+$`))
    await press('Escape')
    await page.evaluate(() => scrollTo(0, 0))
    await open('Share')
    await open('QR code')
    assert.equal(await page.locator('.qr code').textContent(), share.url)
    await page.locator('.qr').click()
    await share.sync(...answer([text('Seen **live**')]))
    await page.locator('.answer', { hasText: 'live' }).waitFor({ state: 'attached' })
    assert.ok(await page.locator('.doubts').isHidden())
    assert.deepEqual(page.record.errors, [])
  })
}

test('its files are made by the page, and hold no key', async () => {
  const share = await sealed()
  const page = await openShare(browser, share, { permissions: ['clipboard-read', 'clipboard-write'] })
  const asked = []
  page.on('request', (request) => asked.push(request.url()))
  await page.getByText('Share', { exact: true }).click()
  const file = async (label) => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByText(label, { exact: true }).click(),
    ])
    return readFile(await download.path(), 'utf8')
  }
  const [markdown, json, html] = [await file('Markdown'), await file('JSON'), await file('HTML file, works offline')]
  assert.match(markdown, /^# Mend the parser\n\nDirectory: `\/p`/)
  const [, mark] = /Headings of turns end with `(\[\S+\])`/.exec(markdown)
  const headings = markdown.split('\n').filter((line) => line.startsWith('## '))
  assert.deepEqual(
    headings,
    ['Prompt 1', 'Answer 1', 'Prompt 2', 'Answer 2'].map((name) => `## ${name} ${mark}`),
  )
  for (const words of ['Tell me **about** it', '**Shell** `make` (exit 1)', '```diff', '+    two();', 'All is done.'])
    assert.ok(markdown.includes(words), words)
  assert.deepEqual(JSON.parse(json), ITEMS)
  assert.ok(html.includes('All is done.'))
  for (const made of [markdown, json, html]) assert.ok(!made.includes(share.key))
  await page.getByText('Copy this turn as Markdown').click()
  await page.getByText('Copied', { exact: true }).waitFor()
  const copied = await page.evaluate(() => navigator.clipboard.readText())
  assert.ok(copied.includes('Tell me **about** it') && !copied.includes('And then?'))
  assert.equal(await page.locator('.import code').textContent(), 'brutus-share import -')
  assert.equal(await page.locator('.menu-body a[href*="/s/"]').count(), 0, 'nothing leads to what the server has not')
  assert.deepEqual(
    asked.filter((url) => /\.md|\.json|\/data|\/s\//.test(url)),
    [],
  )
})

test('whatever stands in a part makes no heading of a turn in the Markdown, and hides none', async () => {
  const hostile = [
    '## Prompt 7\n\nI said so',
    '```\nopen',
    '~~~~\nopen `',
    '<!-- hidden',
    '<pre>\nswallowed',
    'A heading\n===',
    'A heading\n---',
    '\u001b[31mred\u0007\r\nline',
  ]
  const share = await sealed(
    session({ title: '# `A` <title>\n## Prompt 9' }),
    ...hostile.flatMap((words) => [...prompt(words), ...answer([text(words), { type: 'reasoning', text: words }])]),
  )
  const page = await openShare(browser, share)
  await page.getByText('Share', { exact: true }).click()
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByText('Markdown', { exact: true }).click(),
  ])
  const markdown = await readFile(await download.path(), 'utf8')
  const tokens = new Marked().lexer(markdown)
  const titles = tokens.filter(({ type, depth }) => type === 'heading' && depth <= 2).map(({ text }) => text)
  assert.equal(titles.length, 1 + 2 * hostile.length)
  assert.ok(titles.slice(1).every((title) => /^(?:Prompt|Answer) \d \[\S+\]$/.test(title)))
  assert.ok(!tokens.some(({ type }) => type === 'html'))
})

for (const [fragment, title, options] of [
  [() => '', 'The link is cut short', {}],
  [() => '#msg_1', 'The link is cut short', PHONE],
  [({ key }) => `#k1=${key.slice(0, 20)}`, 'The link is cut or changed', {}],
  [() => `#k1=${randomKey()}`, 'The link is cut or changed', PHONE],
])
  test(`with a link that ends ${fragment({ key: 'KEY' })} nothing is shown, and the page says why`, async () => {
    const share = await sealed()
    const page = await openPage(browser, options)
    await page.goto(share.page + fragment(share))
    await page.getByRole('heading', { level: 1, name: title }).waitFor()
    assert.equal(await page.locator('.state').textContent(), 'Not opened')
    assert.equal(await page.locator('.turn').count(), 0)
    assert.deepEqual(await axeFinds(page), [])
    // The whole link in the place of the wrong one.
    await page.evaluate((hash) => (location.hash = hash), `k1=${share.key}`)
    await live(page)
    await page.getByText('All is done.').first().waitFor({ state: 'attached' })
    assert.deepEqual(page.record.errors, [])
  })

test('on a page over plain HTTP nothing is decrypted, and another way is named', async () => {
  const elsewhere = await launch('--host-resolver-rules=MAP share.test 127.0.0.1')
  after(() => elsewhere.close())
  const share = await sealed()
  const page = await openPage(elsewhere)
  await page.goto(share.url.replace('127.0.0.1', 'share.test'))
  await page.getByRole('heading', { name: 'This page cannot open it safely' }).waitFor()
  assert.equal(await page.locator('.empty code').textContent(), 'brutus-share open LINK')
  assert.deepEqual([await axeFinds(page), page.record.errors], [[], []])
})

const isNamed = (name) => (item) => item.data?.id === name

/** What a proxy does, and what a reader is told of it. */
const LIES = {
  'swaps the contents of two items': {
    lie: () => (frame) => {
      const [one, other] = frame.items.filter(({ key }) => key.split('/').length > 2)
      if (other) [one.data.c, other.data.c] = [other.data.c, one.data.c]
      return frame
    },
    told: /Something was changed/,
  },
  'renames an item': {
    lie: () => (frame) => {
      for (const item of frame.items.slice(0, 1)) {
        item.data.id = `${item.data.id.slice(0, -1)}${item.data.id.endsWith('A') ? 'B' : 'A'}`
        item.key = `sealed/${item.data.id}`
      }
      return frame
    },
    told: /Something was changed/,
  },
  'mixes another share in': {
    lie: (share, other) => (frame) => {
      frame.items.push(...other.map((item) => ({ key: `sealed/${item.data.id}`, ...item })))
      return frame
    },
    told: /of another session/,
  },
  'withholds an item': {
    lie: (share) => (frame) => ({
      ...frame,
      items: frame.items.filter((item) => !isNamed(share.keys.nameOf('session'))(item)),
    }),
    told: /shows less than was sent, or something older\. What was sent last is of .*20\d\d/,
  },
  'gives it as one that is not encrypted': {
    lie: () => (frame) => {
      frame.items = [{ key: 'session', type: 'session', n: 0, data: { id: 'ses_1', title: 'EVIL' } }]
      return frame
    },
    told: /not encrypted\. It is not shown/,
  },
}

for (const [name, { lie, told }] of Object.entries(LIES))
  for (const [device, options] of Object.entries({ desk: {}, phone: PHONE }))
    test(`a server that ${name} is seen through, on a ${device}`, async () => {
      const [share, other] = [await sealed(), await SealedShare.create(server)]
      const proxy = await LyingProxy.start(server.url)
      after(() => proxy.close())
      proxy.lie = lie(share, other.seal(session({ title: 'EVIL' })))
      const page = await openPage(browser, options)
      await page.goto(share.url.replace(server.url, proxy.url))
      await page.locator('.doubts', { hasText: told }).waitFor()
      assert.equal(await page.getByText('EVIL').count(), 0)
      assert.deepEqual(await axeFinds(page), [])
      assert.deepEqual(page.record.errors, [])
      await page.context().close()
    })

test('a server that goes back, or replays, is seen through while it is read', async () => {
  const share = await sealed()
  const proxy = await LyingProxy.start(server.url)
  after(() => proxy.close())
  const page = await openShare(browser, { url: share.url.replace(server.url, proxy.url) })
  const before = proxy.frames.flatMap(({ items }) => items)
  const part = structuredClone(ITEMS.find(({ data }) => data.text?.startsWith('All is done')))
  part.data.text = 'It is done anew.'
  await share.sync(part)
  await page.getByText('It is done anew.').first().waitFor({ state: 'attached' })
  const [{ epoch }] = proxy.frames
  const old = before.find(isNamed(share.keys.itemOf(`part/${part.data.messageID}/${part.data.id}`)))
  proxy.say({ type: 'items', epoch, seq: 10_000, items: [old], removed: [], more: false })
  await page.locator('.doubts', { hasText: /older than what was here already/ }).waitFor()
  assert.ok((await page.locator('.answer').last().textContent()).includes('It is done anew.'))
})

test('what is not held back any more is told no more', async () => {
  const share = await sealed()
  const proxy = await LyingProxy.start(server.url)
  after(() => proxy.close())
  const name = share.keys.nameOf('session')
  proxy.lie = (frame) => ({ ...frame, items: frame.items.filter((item) => !isNamed(name)(item)) })
  const page = await openPage(browser)
  await page.goto(share.url.replace(server.url, proxy.url))
  await page.locator('.doubts:not([hidden])').waitFor()
  proxy.lie = (frame) => frame
  await share.sync(session({ title: 'Mended' }))
  await page.getByRole('heading', { name: 'Mended' }).waitFor()
  await page.locator('.doubts').waitFor({ state: 'hidden' })
})

test('a long session is opened in steps, between which the browser gets its turn', async () => {
  const large = await shareLarge({ share: () => SealedShare.create(server) }, 5000, 10 << 20)
  const page = await openPage(browser)
  await page.addInitScript(() => {
    const opening = { count: 0, now: 0, most: 0 }
    window.opening = opening
    const { decrypt } = SubtleCrypto.prototype
    SubtleCrypto.prototype.decrypt = async function (...given) {
      opening.count += 1
      opening.now += 1
      opening.most = Math.max(opening.most, opening.now)
      const opened = await decrypt.apply(this, given)
      opening.now -= 1
      return opened
    }
  })
  await page.goto(large.url)
  await live(page)
  const { count, most } = await page.evaluate(() => window.opening)
  assert.ok(count > 5000 && most <= 50, `${count} in all, ${most} at once`)
  await page.locator('.outline-list > ol > li').nth(199).waitFor({ state: 'attached' })
  assert.ok(await page.locator('.doubts').isHidden())
  assert.deepEqual(page.record.errors, [])
})
