// What the server wrote into the page, to be read before the scripts have loaded the session. It stays until they have
// drawn the same.

import { holdAt } from './hold.js'

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

/** What was written gives way to what is drawn: the turn that is read, which `find` draws, stays where it is. */
export function giveWay(find) {
  if (!written?.isConnected) return
  const turns = scrollY > 0 ? [...written.querySelectorAll('.turn')] : []
  // The last that begins in the upper half of the screen, or fills it.
  const read = turns.findLast((node) => node.getBoundingClientRect().top < innerHeight / 2) ?? turns[0]
  const top = read?.getBoundingClientRect().top
  const drawn = read && find(read.dataset.id)
  written.remove()
  if (drawn) holdAt(drawn, top)
}
