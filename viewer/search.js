// Search within the session: in what is folded and far away too. Matches are marked where the browser can mark text
// without changing the page.

import { el } from './dom.js'
import { icon } from './icons.js'
import { strings } from './strings.js'

// More matches than anybody steps through.
const MAX_MATCHES = 10_000

export class Search {
  #matches = []
  #at = -1

  constructor(root, timeline) {
    this.timeline = timeline
    this.root = root
    this.input = el('input', {
      type: 'search',
      'aria-label': strings.searchLabel,
      placeholder: strings.searchLabel,
      autocomplete: 'off',
      spellcheck: 'false',
    })
    this.count = el('output', { class: 'count' })
    const button = (label, name, action) =>
      el('button', { type: 'button', 'aria-label': label, title: label, onclick: action }, icon(name))
    root.append(
      this.input,
      this.count,
      button(strings.previous, 'up', () => this.step(-1)),
      button(strings.next, 'down', () => this.step(1)),
      button(strings.close, 'close', () => this.close()),
    )
    this.input.addEventListener('input', () => this.#find())
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') {
        event.preventDefault()
        this.step(event.shiftKey ? -1 : 1)
      } else if (event.key === 'Escape') {
        this.close()
      }
    })
  }

  open() {
    this.root.hidden = false
    this.input.focus()
    this.input.select()
    this.#find()
  }

  close() {
    this.root.hidden = true
    CSS.highlights?.clear()
    this.input.blur()
  }

  #find() {
    const words = this.input.value.toLowerCase()
    this.#matches = []
    this.#at = -1
    if (words.length > 1) {
      for (const { node, text } of this.timeline.searchable()) {
        const whole = text.toLowerCase()
        let at = whole.indexOf(words)
        for (let nth = 0; at >= 0 && this.#matches.length < MAX_MATCHES; nth++) {
          this.#matches.push({ node, nth })
          at = whole.indexOf(words, at + words.length)
        }
      }
    }
    this.count.textContent =
      words.length > 1 ? strings.searchCount(this.#matches.length ? 1 : 0, this.#matches.length) : ''
    if (this.#matches.length) this.step(1)
    else CSS.highlights?.clear()
  }

  step(by) {
    const count = this.#matches.length
    if (!count) return
    this.#at = (this.#at + by + count) % count
    this.count.textContent = strings.searchCount(this.#at + 1, count)
    const { node, nth } = this.#matches[this.#at]
    reveal(node)
    const ranges = mark(node, this.input.value.toLowerCase())
    const range = ranges[Math.min(nth, ranges.length - 1)]
    if (CSS.highlights) {
      CSS.highlights.set('found', new Highlight(...ranges))
      CSS.highlights.set('current', range ? new Highlight(range) : new Highlight())
    }
    const target = range?.startContainer.parentElement ?? node
    target.scrollIntoView({ block: 'center' })
  }
}

/** Opens everything that a node is folded into, and a part that is folded itself. */
export function reveal(node) {
  const own = node.classList.contains('part') && node.querySelector('details')
  for (let at = own || node; at; at = at.parentElement) {
    if (at.tagName === 'DETAILS') {
      at.make?.()
      at.open = true
    }
  }
}

function mark(node, words) {
  const ranges = []
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT)
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const whole = text.data.toLowerCase()
    for (
      let at = whole.indexOf(words);
      at >= 0 && ranges.length < MAX_MATCHES;
      at = whole.indexOf(words, at + words.length)
    ) {
      const range = new Range()
      range.setStart(text, at)
      range.setEnd(text, at + words.length)
      ranges.push(range)
    }
  }
  return ranges
}
