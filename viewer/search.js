// Search within the session: in what is folded and far away too, with a list of what was found. Matches are marked
// where the browser can mark text without changing the page.

import { el } from './dom.js'
import { count } from './format.js'
import { icon } from './icons.js'
import { lineAround, placesAmong, placesOf } from './load/find.js'
import { strings } from './strings.js'

// More matches than anybody steps through, and rows that are listed of them.
const MAX_MATCHES = 10_000
const MAX_ROWS = 500

// What may be chosen: how alike words have to be, and where they have to stand.
const ALIKE = ['case', 'word']
const KINDS = ['prompts', 'answers', 'commands', 'output', 'files', 'errors']

const ICONS = {
  prompts: 'prompt',
  answers: 'answer',
  commands: 'shell',
  output: 'tool',
  files: 'file',
  thoughts: 'thought',
}

/** Colours what was found, and of that the one that a reader is at. */
function highlight(found, current) {
  if (!CSS.highlights) return
  CSS.highlights.set('found', new Highlight(...found))
  CSS.highlights.set('current', current ? new Highlight(current) : new Highlight())
  document.documentElement.toggleAttribute('data-found', found.length > 0)
}

export class Search {
  #matches = []
  #rows = []
  #at = -1
  #options = new Set()
  // Folds that were opened to show a match.
  #opened = []

  /** `noted` is called with what is sought, and nothing when nothing is. */
  constructor(root, { timeline, turns, noted }) {
    Object.assign(this, { root, timeline, turns, noted })
    this.input = el('input', {
      ...{ type: 'search', 'aria-label': strings.searchLabel, placeholder: strings.searchLabel },
      ...{
        autocomplete: 'off',
        spellcheck: 'false',
        role: 'combobox',
        'aria-controls': 'found',
        'aria-expanded': 'true',
      },
    })
    this.count = el('output', { class: 'count' })
    const button = (label, name, action) =>
      el('button', { type: 'button', 'aria-label': label, title: label, onclick: action }, icon(name))
    this.choices = new Map(
      [...ALIKE, ...KINDS].map((name) => {
        const toggle = () => {
          if (!this.#options.delete(name)) this.#options.add(name)
          this.#choose()
          this.#find()
        }
        const [label, title] = strings.searchIn[name]
        return [
          name,
          el('button', { type: 'button', class: 'choice', 'aria-pressed': 'false', title, onclick: toggle }, label),
        ]
      }),
    )
    this.list = el('div', { class: 'found', id: 'found', role: 'listbox', 'aria-label': strings.found })
    root.append(
      el(
        'div',
        { class: 'search-line' },
        this.input,
        this.count,
        button(strings.previous, 'up', () => this.step(-1)),
        button(strings.next, 'down', () => this.step(1)),
        button(strings.close, 'close', () => this.close()),
      ),
      el('div', { class: 'choices', role: 'group', 'aria-label': strings.searchOptions }, [...this.choices.values()]),
      this.list,
    )
    this.input.addEventListener('input', () => this.#find())
    root.addEventListener('keydown', (event) => this.#key(event))
    this.list.addEventListener('click', ({ target }) => {
      const row = target.closest('[data-match]')
      if (row) this.#go(Number(row.dataset.match))
    })
  }

  #key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1, Enter: event.shiftKey ? -1 : 1 }[event.key]
    if (event.key === 'Escape') this.close()
    else if (by && (event.key !== 'Enter' || event.target === this.input)) {
      event.preventDefault()
      this.step(by)
    }
  }

  /** Opens it, with words that are sought and options, when they are given. */
  open(words, options = []) {
    this.before = document.activeElement
    this.root.hidden = false
    if (words !== undefined) {
      this.input.value = words
      this.#options = new Set(options.filter((name) => this.choices.has(name)))
      this.#choose()
    }
    this.input.focus({ preventScroll: true })
    this.input.select()
    this.#find()
  }

  close() {
    this.root.hidden = true
    highlight([])
    this.#opened = []
    this.noted(undefined)
    // Where the reader was; else what was found keeps the place.
    const back = this.#matches[this.#at]?.place.node.closest('.turn') ?? this.before
    if (back?.isConnected) back.focus({ preventScroll: true })
    else this.input.blur()
  }

  #choose() {
    for (const [name, button] of this.choices) button.setAttribute('aria-pressed', String(this.#options.has(name)))
  }

  get #alike() {
    return { isCase: this.#options.has('case'), isWord: this.#options.has('word') }
  }

  #find() {
    const words = this.input.value
    const kinds = KINDS.filter((name) => name !== 'errors' && this.#options.has(name))
    const isErrors = this.#options.has('errors')
    this.#matches = []
    this.#at = -1
    // Errors alone are a list without any words.
    const isSought = words.length > 1 || (isErrors && !words)
    const nths = new Map()
    for (const { place, text, kind, turn, isError } of isSought ? this.timeline.searchable() : []) {
      if (this.#matches.length >= MAX_MATCHES) break
      // What comes behind it in the same part is counted on.
      const before = nths.get(place) ?? 0
      const places = words ? placesOf(text, words, this.#alike, MAX_MATCHES - this.#matches.length) : text ? [0] : []
      if (words) nths.set(place, before + places.length)
      if ((kinds.length && !kinds.includes(kind)) || (isErrors && !isError)) continue
      places.forEach((at, nth) => this.#matches.push({ place, text, kind, turn, at, nth: before + nth }))
    }
    this.noted(words || isErrors ? { search: words, options: [...this.#options] } : undefined)
    this.#list()
    const { length } = this.#matches
    this.count.textContent = isSought ? strings.searchCount(length ? 1 : 0, length) : ''
    if (length) this.step(1)
    else highlight([])
  }

  #list() {
    const groups = new Map()
    this.#rows = this.#matches.slice(0, MAX_ROWS).map((match, at) => {
      const [before, found, after] = lineAround(match.text, match.at, this.input.value.length)
      const row = el(
        'button',
        {
          type: 'button',
          class: 'row',
          role: 'option',
          tabindex: '-1',
          dataset: { match: String(at) },
          id: `found-${at}`,
        },
        icon(ICONS[match.kind] ?? 'tool'),
        el('span', { dir: 'auto' }, before, found && el('mark', {}, found), after),
      )
      if (!groups.has(match.turn)) groups.set(match.turn, [])
      groups.get(match.turn).push(row)
      return row
    })
    const left = this.#matches.length - this.#rows.length
    this.list.replaceChildren(
      ...[...groups].map(([turn, rows], at) =>
        el(
          'div',
          { role: 'group', 'aria-labelledby': `found-in-${at}` },
          el('p', { class: 'found-in', id: `found-in-${at}`, dir: 'auto' }, `${turn.number}  ${turn.label}`),
          rows,
        ),
      ),
      ...(left > 0 ? [el('p', { class: 'note' }, strings.more(count(left)))] : []),
    )
  }

  step(by) {
    const { length } = this.#matches
    if (length) this.#go((this.#at + by + length) % length)
  }

  #go(to) {
    this.#rows[this.#at]?.setAttribute('aria-selected', 'false')
    this.#at = to
    const { place, nth } = this.#matches[to]
    const { node } = place
    this.count.textContent = strings.searchCount(to + 1, this.#matches.length)
    const row = this.#rows[to]
    row?.setAttribute('aria-selected', 'true')
    row?.scrollIntoView({ block: 'nearest' })
    if (row) this.input.setAttribute('aria-activedescendant', row.id)
    // What was opened for the last match is closed again.
    const isNear = (details) => details.contains(node) || node.contains(details)
    for (const details of this.#opened) if (!isNear(details)) details.open = false
    this.#opened = [...this.#opened.filter(isNear), ...reveal(node)]
    const words = this.input.value
    let ranges = words ? mark(node, words, this.#alike) : []
    // It may stand in what is left out for its length.
    if (words && ranges.length <= nth) {
      for (const more of node.querySelectorAll('button.more')) more.show(true)
      ranges = mark(node, words, this.#alike)
    }
    const range = ranges[Math.min(nth, ranges.length - 1)]
    highlight(ranges, range)
    const target = range?.startContainer.parentElement ?? node
    target.scrollIntoView({ block: 'center' })
  }
}

/** Opens everything that a node is folded into, and a part that is folded itself. Gives what was closed before. */
export function reveal(node) {
  const opened = []
  const own = node.classList.contains('part') && node.querySelector('details')
  for (let at = own || node; at; at = at.parentElement) {
    if (at.tagName !== 'DETAILS') continue
    at.make?.()
    if (!at.open) opened.push(at)
    at.open = true
  }
  node.querySelector('.clamped + .more')?.show()
  return opened
}

// Elements within a line: words go on through them, as colours end and begin.
const INLINE = new Set(['A', 'B', 'CODE', 'DEL', 'EM', 'I', 'MARK', 'S', 'SPAN', 'STRONG'])

function mark(node, words, alike) {
  const ranges = []
  for (const texts of linesWithin(node)) {
    const data = texts.map((text) => text.data)
    for (const [begin, end] of placesAmong(data, words, alike, MAX_MATCHES - ranges.length)) {
      const range = new Range()
      range.setStart(texts[begin[0]], begin[1])
      range.setEnd(texts[end[0]], end[1])
      ranges.push(range)
    }
  }
  return ranges
}

/** The texts within a node, those together that stand in one block. */
function linesWithin(node) {
  const blockOf = (text) => {
    let at = text.parentElement
    while (INLINE.has(at.tagName)) at = at.parentElement
    return at
  }
  const lines = []
  let block
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT)
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    if (blockOf(text) === block) lines.at(-1).push(text)
    else {
      block = blockOf(text)
      lines.push([text])
    }
  }
  return lines
}
