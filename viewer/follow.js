// Following what is new: a reader at the end of the page stays there; one further up is told how much has come.

import { behindFrame, el, onScrolled } from './dom.js'
import { goToEnd, toEnd } from './hold.js'
import { strings } from './strings.js'

// Nearer to the end than this, in pixels, a reader is at the end.
const NEAR = 120

/** Whether a reader is at the end of the page. */
export const isAtEnd = () => scrollY + innerHeight > document.documentElement.scrollHeight - NEAR

/** Stays at the end when something came; with what comes into view by it, in the next frame. To hold it costs more. */
function stayAtEnd() {
  toEnd()
  requestAnimationFrame(toEnd)
}

export class Follow {
  #following = false
  #missed = 0

  /** `announcer` is a polite live region. */
  constructor(announcer) {
    this.announcer = announcer
    this.pill = el('button', { class: 'pill', type: 'button', hidden: true, onclick: () => this.#go() })
    this.beginning = el(
      'button',
      { class: 'beginning', type: 'button', hidden: true, onclick: () => scrollTo({ top: 0 }) },
      strings.fromBeginning,
    )
    onScrolled(() => this.#look())
    // Who leaves the end is not taken back there by what comes in the same frame.
    addEventListener('scroll', () => this.#following && this.#look(), { passive: true })
  }

  #look() {
    this.#following = isAtEnd()
    if (this.#following) this.#forget()
    if (scrollY < innerHeight) this.beginning.hidden = true
  }

  /** Runs an update of the page that adds `added` parts, and keeps the reader where they want to be. */
  around(added, live, update) {
    // Where the reader is was seen when they scrolled: to look now would lay the page out once more.
    const stay = live && this.#following && scrollY > 0
    update()
    if (stay) stayAtEnd()
    // Behind the next frame, which lays the page out anyway.
    else if (live && added) behindFrame(() => this.#miss(added))
    if (live && added) this.announcer.textContent = strings.newAnnounced(added)
  }

  #miss(added) {
    if (isAtEnd()) return
    this.#missed += added
    this.pill.textContent = `↓ ${strings.newItems(this.#missed)}`
    this.pill.hidden = false
  }

  /** Begins at the end, and offers the way to the beginning. */
  begin() {
    if (isAtEnd()) return
    this.#go()
    this.beginning.hidden = false
  }

  toggle() {
    if (this.#following && isAtEnd()) this.#following = false
    else this.#go()
  }

  #go() {
    this.#following = true
    goToEnd()
    this.#forget()
  }

  #forget() {
    this.#missed = 0
    this.pill.hidden = true
  }
}
