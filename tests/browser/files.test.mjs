// Files of a session: pictures are seen, texts are read, and all can be saved; none is opened as a page of the
// server's.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { answer, openPage, openShare, prompt, session, setUp, text, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

const fixture = async (name) =>
  JSON.parse(await readFile(new URL(`../fixtures/odd/${name}.json`, import.meta.url), 'utf8'))

async function open(items) {
  const share = await server.share()
  await share.sync(...items)
  return openShare(browser, share)
}

async function exported(page) {
  await page.getByText('Share', { exact: true }).click()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByText('HTML file, works offline').click()])
  await page.keyboard.press('Escape')
  const path = `${await file.path()}.html`
  await file.saveAs(path)
  return path
}

const PIXELS = {
  bmp: 'Qk06AAAAAAAAADYAAAAoAAAAAQAAAAEAAAABABgAAAAAAAQAAAATCwAAEwsAAAAAAAAAAAAA////AA==',
  webp: 'UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA',
  gif: 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7',
}

test('pictures are seen by whatever name their kind goes', async () => {
  const [jpg] = (await fixture('image-jpg')).filter(({ data }) => data.type === 'file')
  const files = [
    { mime: 'image/jpg', url: jpg.data.url },
    { mime: 'image/bmp', url: `data:image/x-ms-bmp;base64,${PIXELS.bmp}` },
    { mime: 'image/webp', url: `data:image/webp;charset=utf-8;base64,${PIXELS.webp}` },
    { mime: 'image/gif', url: `data:application/octet-stream;name=a.gif;base64,${PIXELS.gif}` },
  ]
  const page = await open([
    session(),
    ...prompt('Look', ...files.map((file, at) => ({ ...file, filename: `in-prompt-${at}` }))),
    ...answer([
      ...files.map((file, at) => ({ type: 'file', filename: `in-answer-${at}`, ...file })),
      text(`![dot](${files[2].url})`),
    ]),
  ])
  await page.waitForFunction(
    () => document.images.length === 9 && [...document.images].every((image) => image.naturalWidth > 0),
  )
  const html = await readFile(await exported(page), 'utf8')
  assert.equal(html.match(/<img [^>]*src="data:image/g).length, 9)
  assert.deepEqual(page.record.errors, [])
})

test('a picture that the browser cannot show is a file', async () => {
  const page = await open([
    session(),
    ...prompt('Look'),
    ...answer([{ type: 'file', mime: 'image/png', filename: 'broken.png', url: 'data:image/png;base64,AAAA' }]),
  ])
  await page.locator('button.chip').getByText('broken.png').waitFor()
})

test('files are saved by a press as they are, and texts are read', async () => {
  const items = await fixture('attachment-pdf')
  const page = await open([
    ...items,
    ...answer([
      {
        type: 'file',
        mime: 'text/html',
        filename: '../evil.html',
        url: `data:text/html;base64,${Buffer.from('<script>window.pwned=1</script>').toString('base64')}`,
      },
    ]),
  ])
  const before = page.url()
  const save = async (name) => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.locator('.chip', { hasText: name }).click()])
    return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) }
  }
  const pdf = items.find(({ data }) => data.filename === 'spec.pdf').data.url.split(',')[1]
  assert.deepEqual(await save('spec.pdf'), { name: 'spec.pdf', bytes: Buffer.from(pdf, 'base64') })
  assert.deepEqual(await save('notes.txt'), { name: 'notes.txt', bytes: Buffer.from('hello world') })
  assert.equal((await save('evil.html')).name, 'evil.html')
  await page.locator('.file-text').getByText('hello world').waitFor()
  await page.locator('.file-text').getByText('<script>window.pwned=1</script>').waitFor()
  assert.deepEqual(
    [page.url(), page.context().pages().length, await page.evaluate(() => window.pwned)],
    [before, 1, undefined],
  )
  assert.deepEqual(page.record.errors, [])

  const offline = await openPage(browser, { offline: true, javaScriptEnabled: false })
  await offline.goto(pathToFileURL(await exported(page)).href)
  const [file] = await Promise.all([
    offline.waitForEvent('download'),
    offline.locator('a.chip', { hasText: 'spec.pdf' }).click(),
  ])
  assert.deepEqual(await readFile(await file.path()), Buffer.from(pdf, 'base64'))
})

const DIFF = '--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n same\n-GONE\n+CAME\n'
const FOLDED = [
  { type: 'reasoning', text: 'REASONED\n\nand more of it', time: { start: 1, end: 2 } },
  tool('bash', { command: 'make' }, { output: 'PUT-OUT' }),
  tool('read', { filePath: '/a' }, { output: 'READ-ONE' }),
  tool('read', { filePath: '/b' }, { output: 'READ-TWO' }),
  tool('bash', { command: 'long' }, { output: `${'line\n'.repeat(500)}LAST-LINE` }),
  tool('edit', { filePath: 'x' }, { metadata: { diff: DIFF } }),
  text(
    `<details>\n<summary>More</summary>\n\nIN-THE-FOLD\n\n</details>\n\n${'far away\n\n'.repeat(300)}\n\nFAR-**AWAY**`,
  ),
]
const WORDS = [
  'REASONED',
  'and more of it',
  'PUT-OUT',
  'READ-ONE',
  'READ-TWO',
  'LAST-LINE',
  'GONE',
  'CAME',
  'IN-THE-FOLD',
  'FAR-',
]

test('what is printed holds what is folded, and signs in its diffs; afterwards it is folded again', async () => {
  for (const sides of [false, true]) {
    const page = await open([session(), ...prompt('Asked'), ...answer(FOLDED)])
    if (sides)
      await page.evaluate(() => localStorage.setItem('brutus-share', '{"sideBySide":true}')).then(() => page.reload())
    await page.locator('.part-edit .diff').waitFor()
    await page.locator('.markdown > .piece > details').waitFor()
    const isOpen = () => page.locator('details[open]').count()
    const before = await isOpen()
    await page.emulateMedia({ media: 'print' })
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')))
    const printed = await page.locator('main').innerText()
    for (const word of WORDS) assert.ok(printed.includes(word), `${word} in ${printed.slice(0, 3000)}`)
    const signs = await page
      .locator('.diff .sign')
      .evaluateAll((cells) => cells.map((cell) => cell.innerText).filter(Boolean))
    assert.deepEqual(signs, ['−', '+'])
    assert.ok(await page.locator('.top').isHidden())
    await page.evaluate(() => dispatchEvent(new Event('afterprint')))
    assert.equal(await isOpen(), before)
    assert.deepEqual(page.record.errors, [])
  }
})

test('what is taken along holds what is folded, in its form', async () => {
  const page = await open([session(), ...prompt('Asked'), ...answer(FOLDED)])
  const offline = await openPage(browser, { offline: true, javaScriptEnabled: false })
  await offline.goto(pathToFileURL(await exported(page)).href)
  const seen = await offline.locator('main').textContent()
  for (const word of WORDS) assert.ok(seen.includes(word), word)
  assert.equal(await offline.locator('details:not([open])').count(), 0)
  assert.equal(await offline.locator('strong', { hasText: 'AWAY' }).count(), 1)
  assert.deepEqual(page.record.errors, [])
})
