// Pictures of the main views: `node tests/browser/screenshots.mjs [DIRECTORY]`. The README's are made with it.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { launch, openShare } from '../lib/browser.mjs'
import { BINARY } from '../lib/server.mjs'
import { start } from '../lib/process.mjs'

const target = process.argv[2] ?? new URL('../../docs/images', import.meta.url).pathname
await mkdir(target, { recursive: true })
const browser = await launch()

// The demo's conversation, played as fast as it goes.
const demo = await start(BINARY, ['demo', '--no-open', '--speed', '40'], { ready: /^(http:\S+)$/m, name: 'demo' })
const share = { url: demo.match[1] }
const views = [
  ['desktop-light', { viewport: { width: 1440, height: 900 }, colorScheme: 'light' }],
  ['desktop-dark', { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' }],
  ['phone-light', { viewport: { width: 390, height: 844 }, colorScheme: 'light', deviceScaleFactor: 2 }],
  ['phone-dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark', deviceScaleFactor: 2 }],
]
for (const [name, options] of views) {
  const page = await openShare(browser, share, options)
  await page.getByText('I do not say why').waitFor({ state: 'attached' })
  await page.waitForFunction(() => !document.querySelector('.turn:first-child .code [data-lazy]'))
  await page.screenshot({ path: join(target, `${name}.png`) })
  if (name === 'desktop-light') {
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.waitForFunction(() => document.querySelector('.picture img')?.naturalWidth > 0)
    await page.screenshot({ path: join(target, 'end-light.png') })
    await page.keyboard.press('c')
    await page.locator('.review .diff').first().waitFor()
    await page.screenshot({ path: join(target, 'changes-light.png') })
  }
  await page.context().close()
}
await demo.stop()
await browser.close()
