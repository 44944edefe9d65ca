// Going to a node and staying there: what comes into view is drawn then, and may be of another height than it was
// thought to be. Whoever touches the page goes on from there.

const HOLDS = 1500

let held

for (const name of ['wheel', 'touchstart', 'keydown', 'pointerdown'])
  addEventListener(name, () => (held = undefined), { passive: true, capture: true })

/** Brings a node to the top of the screen, and keeps it there until all around it is drawn. */
export function goTo(node) {
  const until = performance.now() + HOLDS
  let top
  held = node
  const settle = () => {
    if (held !== node || performance.now() > until || !node.isConnected) return
    if (node.getBoundingClientRect().top !== top) {
      node.scrollIntoView({ block: 'start' })
      top = node.getBoundingClientRect().top
    }
    requestAnimationFrame(settle)
  }
  settle()
}
