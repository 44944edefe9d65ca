// Markdown to elements. Long texts are read in pieces, those that may take long by the worker; what is the same as
// before stays, so that a text that grows costs what is new of it.

import { copyButton, el, guarded, inSlices, showSecrets, track, whenNear, write } from './dom.js'
import { bytes } from './format.js'
import { highlight } from './highlight.js'
import { toHtml } from './markup.js'
import { offload } from './offload.js'
import { markdownPieces, startOf } from './pieces.js'
import { toFragment } from './sanitize.js'
import { strings } from './strings.js'

// A text up to this long is read at once: what takes longest, the square of it, is little.
const MAX_AT_ONCE = 2500

// Of a longer text its start is shown at first.
const MAX_FIRST = 60_000

// Texts of which all is to be shown, by their nodes.
const whole = new WeakSet()

/** The start of a text that stands in for its elements. */
export const standIn = (text) => startOf(text, Infinity, MAX_FIRST)

/** Puts a Markdown text's elements into a node, in place of an earlier version of it. */
export function renderMarkdown(node, text) {
  const shown = whole.has(node) ? text : standIn(text)
  const pieces = markdownPieces(shown)
  const known = [...node.children].filter((child) => child.className.startsWith('piece'))
  // What else stands there has stood in, or is the button for the rest.
  for (const child of [...node.childNodes]) if (!known.includes(child)) child.remove()
  for (const child of known.slice(pieces.length)) child.remove()
  pieces.forEach((piece, at) => {
    const child = known[at] ?? el('div', { class: 'piece' })
    if (!known[at]) node.append(child)
    draw(child, piece.head + piece.text, piece.text)
  })
  if (shown.length === text.length) return
  const more = el('button', { class: 'more', type: 'button' }, strings.showWhole(bytes(text.length)))
  more.show = (atOnce) => {
    whole.add(node)
    more.remove()
    return track(inSlices(markdownPieces(text).slice(pieces.length), (piece) => append(node, piece), atOnce))
  }
  more.addEventListener('click', () => more.show())
  node.append(more)
}

/** A piece of the rest: it is read when it comes near the screen. */
function append(node, { head, text }) {
  const child = el('div', { class: 'piece far' }, text)
  node.append(child)
  whenNear(child, () => draw(child, head + text, text))
}

// The Markdown that is shown in a piece, or is being read for it.
const sources = new WeakMap()

/** Puts the elements of Markdown into a node; its text, when it cannot be read, or not in time. */
function draw(node, source, text) {
  if (sources.get(node) === source) return
  sources.set(node, source)
  if (source.length <= MAX_AT_ONCE) {
    const html = guarded(() => toHtml(source))
    return html === undefined ? drawPlain(node, text) : drawHtml(node, html)
  }
  if (!node.firstChild) drawPlain(node, text)
  track(
    offload.run('markdown', source).then((html) => {
      if (sources.get(node) !== source) return
      if (html === undefined) drawPlain(node, text)
      else drawHtml(node, html)
    }),
  )
}

function drawPlain(node, text) {
  node.classList.add('plain')
  write(node, text)
}

function drawHtml(node, html) {
  const fragment = toFragment(html)
  for (const table of fragment.querySelectorAll('table')) {
    const frame = el('div', { class: 'table', tabindex: '0', role: 'group', 'aria-label': strings.table })
    table.replaceWith(frame)
    frame.append(table)
  }
  showSecrets(fragment)
  findDirections(fragment)
  for (const code of fragment.querySelectorAll('pre > code')) {
    const language = /language-([\w+#-]+)/.exec(code.className)?.[1]
    const pre = code.parentElement
    const source = code.textContent
    pre.tabIndex = 0
    const frame = el('div', { class: 'code', dataset: { language: language ?? '' } })
    pre.replaceWith(frame)
    frame.append(pre, copyButton(strings, source))
    if (language) whenNear(code, () => highlight([code], language))
  }
  node.classList.remove('plain')
  node.replaceChildren(fragment)
}

/**
 * Lets each block find the direction that it is read in, by its first letter; code is read from left to right. A block
 * finds none in what has a direction of its own, so the first paragraph of an item or a quotation has its one.
 */
function findDirections(fragment) {
  for (const block of fragment.querySelectorAll('p, li, h1, h2, h3, h4, h5, h6, td, th, blockquote, summary'))
    if (!block.matches('li > p:first-child, blockquote > p:first-child')) block.dir = 'auto'
  for (const code of fragment.querySelectorAll('code')) code.dir = 'ltr'
}
