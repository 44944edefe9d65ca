// What the server wrote into the page, to be read before the scripts have loaded the session. It stays until they have
// drawn the same.

const written = document.querySelector('.written')

/** Puts the page's own elements into the document, what was written before those of the main one. */
export function putAround(...nodes) {
  document.body.replaceChildren(...nodes)
  if (written?.querySelector('.turn')) document.querySelector('#app').prepend(written)
}

/** What was written gives way to what is drawn: the turn that is read stays where it is. */
export function giveWay() {
  if (!written?.isConnected) return
  const topOf = (node) => node.getBoundingClientRect().top
  const read = [...written.querySelectorAll('.turn')].find((node) => node.getBoundingClientRect().bottom > 0)
  const top = read && topOf(read)
  written.remove()
  const drawn = read && document.getElementById(read.id)
  if (!drawn || scrollY === 0) return
  // Turns get their sizes when they come near the screen, which is when they are drawn.
  const stay = (again) => {
    scrollBy(0, topOf(drawn) - top)
    if (again) requestAnimationFrame(() => stay(again - 1))
  }
  stay(2)
}
