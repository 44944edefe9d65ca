// The prompts as a list beside the session, with what each came to, and where the reader is in it.

import { arrange, el, onScrolled, rewrite, write } from './dom.js'
import { count } from './format.js'
import { goTo } from './hold.js'
import { different, headingsOf } from './load/headings.js'
import { firstAbove } from './load/schedule.js'
import { strings } from './strings.js'
import { plainText } from './values.js'

// Headings that are shown of a turn.
const MAX_HEADINGS = 30

// Pixels at the top of the screen that the bar takes.
const BAR = 80

// Pixels that a sheet is pulled down by to close it.
const PULL = 60

// Where it is a sheet, which nobody sees until it is opened.
const asSheet = matchMedia('(max-width: 1159px)')

export class Outline {
  #entries = new Map()
  #here
  // That observers tell costs each frame a look at every turn.
  #look = onScrolled(() => this.#mark())

  /** The turn in which the reader is. */
  get here() {
    return this.#here
  }

  /** `link` makes the fragment of a place; `find` gives the element of a part. */
  constructor(root, { session, turns, link, find }) {
    Object.assign(this, { root, session, turns, link, find })
    this.list = el('ol', {})
    this.filter = el('input', {
      ...{ type: 'search', placeholder: strings.filterPrompts, 'aria-label': strings.filterPrompts },
      oninput: () => this.#narrow(),
    })
    this.scrim = el('div', { class: 'scrim', onclick: () => this.close() })
    const grip = el('header', {}, el('h2', {}, strings.outline), this.filter)
    this.scroller = el('div', { class: 'outline-list' }, this.list)
    root.append(grip, this.scroller)
    addEventListener('keydown', ({ key }) => {
      if (key !== 'Escape' || !document.body.classList.contains('outline-open')) return
      this.close()
      this.before?.focus({ preventScroll: true })
    })
    this.list.addEventListener('click', ({ target }) => target.closest('a') && this.close())
    this.#pulled(grip)
  }

  /** On a phone it is a sheet, which is opened where the reader is. */
  toggle() {
    if (!document.body.classList.toggle('outline-open')) return
    this.before = document.activeElement
    this.#unfold()
    ;(this.#entries.get(this.#here)?.link ?? this.filter).focus({ preventScroll: true })
  }

  close() {
    document.body.classList.remove('outline-open')
  }

  #pulled(grip) {
    let from
    grip.addEventListener('touchstart', ({ touches }) => (from = touches[0].clientY), { passive: true })
    grip.addEventListener(
      'touchmove',
      ({ touches }) => {
        if (touches[0].clientY - from > PULL) this.close()
      },
      { passive: true },
    )
  }

  /** Brings it up to date; with what the turns came to, once that is counted. */
  update(isSummed = false) {
    const turns = this.turns.all.filter(({ prompt }) => prompt)
    const isAlike = turns.length === this.shown?.length && turns.every((turn, at) => turn === this.shown[at].turn)
    const shown = turns.map((turn) => {
      let entry = this.#entries.get(turn.id)
      if (!entry) this.#entries.set(turn.id, (entry = this.#entry(turn)))
      if (entry.labelled !== turn.version) {
        entry.labelled = turn.version
        entry.words = turn.label || '…'
      }
      if (isSummed && (entry.summed !== turn.version || entry.number.textContent !== String(turn.number))) {
        entry.summed = turn.version
        this.#sum(entry, turn)
      }
      return entry
    })
    this.shown = shown
    different(shown.map(({ words }) => words)).forEach((words, at) => {
      const { label, link, turn, number } = shown[at]
      if (label.textContent !== words) {
        write(label, words)
        link.title = shown[at].words
      }
      rewrite(number, String(turn.number))
    })
    this.#look()
    if (isAlike) return
    document.body.classList.toggle('outlined', turns.length > 0)
    const ids = new Set(turns.map(({ id }) => id))
    for (const id of this.#entries.keys()) if (!ids.has(id)) this.#entries.delete(id)
    arrange(
      this.list,
      shown.map(({ node }) => node),
    )
    this.#narrow()
  }

  #entry(turn) {
    const [number, label, came] = ['turn-number', 'label', 'came'].map((name) => el('span', { class: name }))
    label.dir = 'auto'
    const link = el('a', { href: this.link({ id: turn.id }) }, number, label, came)
    return { turn, number, label, came, link, node: el('li', {}, link), words: '' }
  }

  #sum({ node, came }, { sum }) {
    const { outcome, errors, files, added, removed } = sum
    node.dataset.outcome = outcome
    const isBad = outcome === 'failed'
    came.replaceChildren(
      el('span', { class: `dot ${DOTS[outcome]}`, role: 'img', 'aria-label': strings.outcomes[outcome] }),
      ...(errors.length && !isBad ? [el('span', { class: 'bad' }, strings.errors(errors.length))] : []),
      ...(files.length
        ? [
            el('span', { class: 'good' }, `+${count(added)}`),
            el('span', { class: 'bad' }, `−${count(removed)}`),
            el('span', { title: files.slice(0, 30).join('\n') }, strings.filesOf(files.length)),
          ]
        : []),
    )
  }

  #narrow() {
    const sought = this.filter.value.trim().toLowerCase()
    for (const { node, words } of this.#entries.values())
      node.hidden = sought !== '' && !words.toLowerCase().includes(sought)
  }

  #mark() {
    const here = this.#first()?.turn.id
    if (here === this.#here || here === undefined) return
    const before = this.#entries.get(this.#here)
    before?.link.removeAttribute('aria-current')
    before?.node.querySelector('.headings')?.remove()
    this.#here = here
    this.onHere?.(here)
    const entry = this.#entries.get(here)
    entry.link.setAttribute('aria-current', 'true')
    if (!asSheet.matches || document.body.classList.contains('outline-open')) this.#unfold()
  }

  /** The first turn that is seen between the bar at the top and the middle of the screen. */
  #first() {
    const shown = this.shown ?? []
    const placeOf = ({ turn }) => document.getElementById(turn.id)?.getBoundingClientRect() ?? { top: 0, bottom: 0 }
    const first = shown[firstAbove(shown, BAR, (entry) => placeOf(entry).bottom)]
    return first && placeOf(first).top < innerHeight / 2 ? first : undefined
  }

  /** Shows where the reader is, with the headings there. */
  #unfold() {
    const entry = this.#entries.get(this.#here)
    if (!entry) return
    if (!entry.node.querySelector('.headings')) entry.node.append(this.#headings(entry.turn))
    this.#show(entry)
  }

  /** What the answers of a turn have as headings. */
  #headings({ answers }) {
    const found = answers.flatMap((message) =>
      this.session
        .partsOf(message)
        .filter(({ type }) => type === 'text')
        .flatMap((part) => headingsOf(plainText(part.text) ?? '').map((heading, nth) => ({ ...heading, part, nth }))),
    )
    const top = Math.min(...found.map(({ level }) => level))
    return el(
      'ol',
      { class: 'headings' },
      found.slice(0, MAX_HEADINGS).map(({ level, text, part, nth }) => {
        const link = el(
          'a',
          { href: this.link({ id: part.id }), dir: 'auto', class: level > top ? 'deeper' : '' },
          text,
        )
        link.addEventListener('click', () => {
          // Behind the way to the part, which draws what stands in it.
          setTimeout(() => {
            const heading = this.find(part.id)?.querySelectorAll(':is(h3, h4, h5, h6)')[nth]
            if (heading) goTo(heading)
          }, 100)
        })
        return el('li', {}, link)
      }),
    )
  }

  /** Brings an entry into the list's view. */
  #show({ link }) {
    const { top, bottom } = link.getBoundingClientRect()
    const view = this.scroller.getBoundingClientRect()
    if (top < view.top || bottom > view.bottom) this.scroller.scrollTop += top - view.top - view.height / 3
  }

  /** The prompt before or after the one at the top of the screen. */
  step(by) {
    const tops = (this.shown ?? []).map(({ turn: { id } }) => ({
      id,
      top: document.getElementById(id)?.getBoundingClientRect().top ?? 0,
    }))
    const target = by > 0 ? tops.find(({ top }) => top > 90) : tops.findLast(({ top }) => top < 50)
    const node = target && document.getElementById(target.id)
    if (!node) return
    goTo(node)
    node.focus({ preventScroll: true })
  }
}

const DOTS = { running: 'running', failed: 'error', stopped: '', done: 'completed' }
