// What axe finds on a page, once what moves has come to rest.

import { AxeBuilder } from '@axe-core/playwright'

export async function axeFinds(page) {
  // Two frames until what was scrolled is told; what fades has no colour of its own while it does.
  await page.evaluate(async () => {
    for (const _ of [1, 2]) await new Promise(requestAnimationFrame)
    const fading = document.getAnimations().filter((animation) => animation instanceof CSSTransition)
    await Promise.allSettled(fading.map(({ finished }) => finished))
  })
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations.map(({ id, nodes }) => [
    id,
    nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ''}`),
  ])
}
