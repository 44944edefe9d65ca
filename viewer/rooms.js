// The rooms of the page, each with its address: the session, and what it changed. One is seen at a time.

import { el } from './dom.js'
import { count } from './format.js'
import { strings } from './strings.js'

export class Rooms {
  #room = 'session'
  #count = el('span', { class: 'tab-count' })
  // Where the reader was in the session: a node, and how far it stood from the top.
  #place

  constructor({ review, link }) {
    Object.assign(this, { review, link })
    const tab = (room, label, ...more) =>
      el(
        'a',
        {
          class: 'tab',
          href: link(room === 'session' ? {} : { room }),
          dataset: { room },
          onclick: (event) => this.#visit(event, room),
        },
        label,
        ...more,
      )
    this.tabs = el(
      'nav',
      { class: 'tabs', 'aria-label': strings.rooms },
      tab('session', strings.session),
      tab('changes', strings.changes, this.#count),
    )
    this.#show()
  }

  get isSession() {
    return this.#room === 'session'
  }

  /** How many files were changed. */
  set count(files) {
    this.#count.textContent = files ? ` ${count(files)}` : ''
  }

  /** Into the other room, and back. */
  toggle() {
    history.pushState(null, '', this.link(this.isSession ? { room: 'changes' } : {}))
    this.go(this.isSession ? { room: 'changes' } : {})
  }

  /** Shows the room of a place. */
  go({ room = 'session', file, id }) {
    if (room === 'changes') {
      if (this.isSession) this.#place = here()
      this.#room = room
      this.#show()
      if (file === undefined) scrollTo(0, 0)
      this.review.open(file)
    } else if (!this.isSession) {
      this.#room = room
      this.review.close()
      this.#show()
      if (id === undefined) this.#return()
    }
  }

  /** A click that opens nothing elsewhere goes there without leaving the place in the session. */
  #visit(event, room) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    if (room !== this.#room) this.toggle()
  }

  #show() {
    document.body.dataset.room = this.#room
    for (const tab of this.tabs.children) {
      if (tab.dataset.room === this.#room) tab.setAttribute('aria-current', 'page')
      else tab.removeAttribute('aria-current')
    }
  }

  #return() {
    const { node, top } = this.#place ?? {}
    if (!node?.isConnected) return
    // What comes into view may be of another height than it was thought to be.
    const settle = () => scrollBy({ top: node.getBoundingClientRect().top - top, behavior: 'instant' })
    settle()
    requestAnimationFrame(settle)
  }
}

/** What the reader looks at: the first part that is seen, and where it stands. */
function here() {
  const [x, y] = [innerWidth / 2, 90]
  const node = document.elementFromPoint(x, y)?.closest('.part, .prompt, .turn, .head')
  return node ? { node, top: node.getBoundingClientRect().top } : { node: document.body, top: -scrollY }
}
