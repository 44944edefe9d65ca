// Going to a place and staying there: what comes into view is drawn then, and may be of another height than it was
// thought to be. Whoever touches the page goes on from there.

const HOLDS = 1500

// Where the page that is held stands; nothing when a reader has touched it.
let held

for (const name of ['wheel', 'touchstart', 'keydown', 'pointerdown'])
  addEventListener(name, () => (held = undefined), { passive: true, capture: true })

/** Brings a node to the top of the screen, and keeps it there until all around it is drawn. */
export const goTo = (node) => holdNode(node, () => node.scrollIntoView({ block: 'start' }))

/** Brings a node so far below the top of the screen, and keeps it there. */
export const holdAt = (node, from) =>
  holdNode(node, () => scrollBy({ top: node.getBoundingClientRect().top - from, behavior: 'instant' }))

/** Goes to the end of the page, and stays there until all around it is drawn. */
export const goToEnd = () => hold(() => document.documentElement.scrollHeight - scrollY, toEnd)

/** Goes to the end of the page as it is now. */
export const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' })

const holdNode = (node, bring) => hold(() => (node.isConnected ? node.getBoundingClientRect().top : undefined), bring)

/** Brings the page to a place whenever it is elsewhere: `where` says where it stands, nothing when it is gone. */
function hold(where, bring) {
  const until = performance.now() + HOLDS
  held = where
  let at
  const settle = () => {
    if (held !== where || performance.now() > until) return
    const is = where()
    if (is === undefined) return
    if (is !== at) {
      bring()
      at = where()
    }
    requestAnimationFrame(settle)
  }
  settle()
}
