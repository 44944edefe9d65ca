// Going to a node and staying there: what comes into view is drawn then, and may be of another height than it was
// thought to be. Whoever touches the page goes on from there.

const HOLDS = 1500

let held

for (const name of ['wheel', 'touchstart', 'keydown', 'pointerdown'])
  addEventListener(name, () => (held = undefined), { passive: true, capture: true })

/** Brings a node to the top of the screen, and keeps it there until all around it is drawn. */
export const goTo = (node) => hold(node, () => node.scrollIntoView({ block: 'start' }))

/** Brings a node so far below the top of the screen, and keeps it there. */
export const holdAt = (node, from) =>
  hold(node, () => scrollBy({ top: node.getBoundingClientRect().top - from, behavior: 'instant' }))

function hold(node, bring) {
  const until = performance.now() + HOLDS
  let top
  held = node
  const settle = () => {
    if (held !== node || performance.now() > until || !node.isConnected) return
    if (node.getBoundingClientRect().top !== top) {
      bring()
      top = node.getBoundingClientRect().top
    }
    requestAnimationFrame(settle)
  }
  settle()
}
