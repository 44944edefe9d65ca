// Pictures of the main views: `node tests/browser/screenshots.mjs` makes the README's, with a directory behind it all
// of them there.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { launch, openShare } from '../lib/browser.mjs'
import { BINARY } from '../lib/server.mjs'
import { start } from '../lib/process.mjs'

const README = ['desktop-light', 'phone-dark', 'changes-light']
const [directory] = process.argv.slice(2)
const target = directory ?? new URL('../../docs/images', import.meta.url).pathname
await mkdir(target, { recursive: true })
const browser = await launch()

// The demo's conversation, played as fast as it goes.
const demo = await start(BINARY, ['demo', '--no-open', '--speed', '40'], { ready: /^(http:\S+)$/m, name: 'demo' })
const share = { url: demo.match[1] }
const played = await openShare(browser, share)
await played.locator('.markdown', { hasText: 'I do not say why' }).waitFor()
await played.locator('.state[data-does=idle]').waitFor()
await played.context().close()

const desktop = { width: 1440, height: 900 }
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }

const nothing = async () => {}
const openChanges = async (page) => {
  await page.keyboard.press('c')
  await page.locator('.review .diff').first().waitFor()
}
const atTheEnd = async (page) => {
  await page.keyboard.press('f')
  await page.waitForFunction(() => document.querySelector('.picture img')?.naturalWidth > 0)
}
const search = async (page) => {
  await page.keyboard.press('/')
  await page.keyboard.type('test')
  await page.locator('.found .row').first().waitFor()
}
const outline = (page) => page.getByRole('button', { name: 'Prompts' }).click()
const shareMenu = (page) => page.getByText('Share', { exact: true }).click()
const print = (page) => page.emulateMedia({ media: 'print' })

const views = [
  ['desktop', { viewport: desktop }, nothing],
  ['laptop', { viewport: { width: 1280, height: 720 } }, nothing],
  ['tablet', { viewport: { width: 820, height: 1180 } }, nothing],
  ['phone', phone, nothing],
  ['end', { viewport: desktop }, atTheEnd],
  ['changes', { viewport: desktop }, openChanges],
  ['phone-changes', phone, openChanges],
  ['search', { viewport: desktop }, search],
  ['phone-outline', phone, outline],
  ['phone-share', phone, shareMenu],
  ['print', { viewport: { width: 794, height: 1123 } }, print],
]
for (const [view, options, turnTo] of views)
  for (const colorScheme of ['light', 'dark']) {
    const name = `${view}-${colorScheme}`
    if (directory === undefined && !README.includes(name)) continue
    const page = await openShare(browser, share, { ...options, colorScheme })
    await page.locator('.markdown', { hasText: 'I do not say why' }).waitFor({ state: 'attached' })
    await page.waitForFunction(() => !document.querySelector('.turn:first-child .code [data-lazy]'))
    await turnTo(page)
    await page.screenshot({ path: join(target, `${name}.png`), animations: 'disabled' })
    await page.context().close()
  }
await demo.stop()
await browser.close()
