// The rooms of the page, each with its address: the session, what it changed, and how it went. One is seen at a time.

import { el } from './dom.js'
import { count } from './format.js'
import { holdAt } from './hold.js'
import { strings } from './strings.js'

export class Rooms {
  #room = 'session'
  #count = el('span', { class: 'tab-count' })
  // Where the reader was in the session: a node, and how far it stood from the top.
  #place
  // What had the focus there.
  #focused
  #others

  /** `review` and `playback` are the rooms beside the session; `link` makes the fragment of a place. */
  constructor({ review, playback, link }) {
    this.#others = { changes: review, playback }
    this.link = link
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

  get isPlayback() {
    return this.#room === 'playback'
  }

  /** Into the room of changes, and back from any. */
  toggle() {
    this.visit(this.isSession ? { room: 'changes' } : {})
  }

  /** Goes to a place, with its address. */
  visit(place) {
    history.pushState(null, '', this.link(place))
    this.go(place)
  }

  /** Shows the room of a place. */
  go(place) {
    const { room = 'session', id } = place
    const was = this.#room
    if (was === 'session' && room !== was) {
      this.#place = here()
      this.#focused = document.activeElement
    }
    if (room !== was) this.#others[was]?.close()
    this.#room = room
    this.#show()
    if (room !== 'session') this.#others[room].open(place)
    else if (was !== 'session' && id === undefined) this.#return()
  }

  /** A click that opens nothing elsewhere goes there without leaving the place in the session. */
  #visit(event, room) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    if (room !== this.#room) this.visit(room === 'session' ? {} : { room })
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
    this.#focused?.focus({ preventScroll: true })
    if (node?.isConnected) holdAt(node, top)
  }
}

/** What the reader looks at: the first part that is seen, and where it stands. */
function here() {
  const [x, y] = [innerWidth / 2, 90]
  const node = document.elementFromPoint(x, y)?.closest('.part, .prompt, .turn, .head')
  return node ? { node, top: node.getBoundingClientRect().top } : { node: document.body, top: -scrollY }
}
