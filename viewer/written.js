// What the server wrote into the page, to be read before the scripts have loaded the session. It stays until they have
// drawn the same.

const written = document.querySelector('.written')

/** Puts the page's own elements into the document, what was written before those of the main one. */
export function putAround(...nodes) {
  document.body.replaceChildren(...nodes)
  const turns = written?.querySelectorAll('.turn') ?? []
  if (turns.length) document.querySelector('#app').prepend(written)
  // From now on their names are those of what is drawn.
  for (const turn of turns) {
    turn.dataset.id = turn.id
    turn.removeAttribute('id')
  }
}

/** What was written gives way to what is drawn: the turn that is read stays where it is. */
export function giveWay() {
  if (!written?.isConnected) return
  const topOf = (node) => node.getBoundingClientRect().top
  const read = [...written.querySelectorAll('.turn')].find((node) => node.getBoundingClientRect().bottom > 0)
  const top = read && topOf(read)
  written.remove()
  const drawn = read && document.getElementById(read.dataset.id)
  if (!drawn || scrollY === 0) return
  // Turns get their sizes when they come near the screen, which is when they are drawn. Who scrolls has the last word.
  let place = scrollY
  const stay = (again) => {
    if (scrollY !== place) return
    scrollBy(0, topOf(drawn) - top)
    place = scrollY
    if (again) requestAnimationFrame(() => stay(again - 1))
  }
  stay(2)
}
