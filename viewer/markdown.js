// Markdown to elements. Long texts are read in pieces, those that may take long by the worker; what is the same as
// before stays, so that a text that grows costs what is new of it.

import { copyButton, el, guarded, inSlices, showSecrets, track, whenNear, write } from './dom.js'
import { bytes } from './format.js'
import { highlight } from './highlight.js'
import { toHtml } from './markup.js'
import { offload } from './offload.js'
import { MarkdownPieces, markdownPieces, startOf } from './pieces.js'
import { toFragment } from './sanitize.js'
import { strings } from './strings.js'

// A text up to this long is read at once: what takes longest, the square of it, is little.
const MAX_AT_ONCE = 2500

// Of a longer text its start is shown at first.
const MAX_FIRST = 60_000

// Texts of which all is to be shown, by their nodes.
const whole = new WeakSet()

/** The start of a text, which is what is shown of it at first. */
const beginningOf = (text) => startOf(text, Infinity, MAX_FIRST)

/** Puts the start of a Markdown text into a node as it is: it stands in for its elements, until they are rendered. */
export const standIn = (node, text) => drawPlain(node, beginningOf(text))

// Lines of a text take so much room, in rem, and have so many characters.
const [LINE, WIDTH] = [1.7, 84]

const heightOf = (text) => text.split('\n').reduce((sum, line) => sum + (1 + Math.floor(line.length / WIDTH)) * LINE, 0)

// What reads the pieces of a text that grows, by its node.
const readers = new WeakMap()

/**
 * Puts a Markdown text's elements into a node, in place of an earlier version of it. Where it `grows` its end is open:
 * code there gets its colours when it is over. What a person typed (`isTyped`) keeps its lines.
 */
export function renderMarkdown(node, text, { grows = false, isTyped = false } = {}) {
  // Of a text that grows before the reader's eyes all is shown.
  if (grows && node.querySelector(':scope > .piece') && !node.querySelector(':scope > .more')) whole.add(node)
  const shown = whole.has(node) ? text : beginningOf(text)
  if (!readers.has(node)) readers.set(node, new MarkdownPieces())
  const pieces = readers.get(node).read(shown)
  const known = [...node.children].filter((child) => child.className.startsWith('piece'))
  // What else stands there has stood in, or is the button for the rest.
  for (const child of [...node.childNodes]) if (!known.includes(child)) child.remove()
  node.classList.remove('verbatim')
  for (const child of known.slice(pieces.length)) child.remove()
  pieces.forEach((piece, at) => {
    const child = known[at] ?? el('div', { class: at ? 'piece far' : 'piece' })
    if (at && !known[at]) child.style.containIntrinsicSize = `auto ${heightOf(piece.text)}rem`
    if (!known[at]) node.append(child)
    draw(child, piece.head + piece.text, piece.text, { isOpen: grows && at === pieces.length - 1, isTyped })
  })
  if (shown.length === text.length) return
  const more = el('button', { class: 'more', type: 'button' }, strings.showWhole(bytes(text.length)))
  more.show = (atOnce) => {
    whole.add(node)
    more.remove()
    return track(inSlices(markdownPieces(text).slice(pieces.length), (piece) => append(node, piece, isTyped), atOnce))
  }
  more.addEventListener('click', () => more.show())
  node.append(more)
}

/** A piece of the rest: it is read when it comes near the screen. */
function append(node, { head, text }, isTyped) {
  const child = el('div', { class: 'piece far' })
  drawPlain(child, text)
  node.append(child)
  whenNear(child, () => draw(child, head + text, text, { isTyped }))
}

// The Markdown that is shown in a piece, or is being read for it, and whether its end was open then.
const sources = new WeakMap()

/** Puts the elements of Markdown into a node; its text, when it cannot be read, or not in time. */
function draw(node, source, text, { isOpen = false, isTyped = false } = {}) {
  const known = sources.get(node)
  if (known?.source === source && known.isOpen === isOpen) return
  const wanted = { source, isOpen, isTyped }
  sources.set(node, wanted)
  if (source.length <= MAX_AT_ONCE) {
    const html = guarded(() => toHtml(source, isTyped))
    return html === undefined ? drawPlain(node, text) : drawHtml(node, html, wanted)
  }
  if (!node.firstChild) drawPlain(node, text)
  // While a piece is being read it may grow on: what is read next is what it is then.
  if (reading.has(node)) return
  reading.add(node)
  track(
    offload.run('markdown', source, isTyped).then((html) => {
      reading.delete(node)
      if (html === undefined) drawPlain(node, text)
      else drawHtml(node, html, wanted)
      const now = sources.get(node)
      if (now === wanted) return
      sources.delete(node)
      draw(node, now.source, now.source, now)
    }),
  )
}

// Pieces that are being read.
const reading = new WeakSet()

function drawPlain(node, text) {
  node.classList.add('verbatim')
  write(node, text)
}

// The blocks of a piece as they were made, before anything was coloured in them.
const made = new WeakMap()

/** Puts blocks into a node. Those that are as they were stay, with their colours, and with what is selected in them. */
function drawHtml(node, html, { isOpen, isTyped }) {
  const fragment = toFragment(html)
  const blocks = [...fragment.childNodes].filter((block) => block.nodeType === Node.ELEMENT_NODE || block.data.trim())
  const before = node.classList.contains('verbatim') ? [] : [...node.childNodes]
  let same = 0
  const texts = blocks.map((block) => block.outerHTML ?? block.data)
  const isOver = (at) => !isOpen || at < blocks.length - 1
  while (
    same < Math.min(blocks.length, before.length) &&
    made.get(before[same])?.html === texts[same] &&
    made.get(before[same]).isOver === isOver(same)
  )
    same += 1
  if (!before.length) node.replaceChildren()
  for (const block of before.slice(same)) block.remove()
  blocks.slice(same).forEach((block, at) => {
    const isDone = isOver(same + at)
    const holder = document.createDocumentFragment()
    holder.append(block)
    finish(holder, isDone)
    if (isTyped) showMentions(holder)
    const [first] = holder.childNodes
    if (first) made.set(first, { html: texts[same + at], isOver: isDone })
    node.append(holder)
  })
  node.classList.remove('verbatim')
}

/** Makes of a block what the page shows; its code is coloured when that is over. */
function finish(fragment, isOver) {
  for (const table of fragment.querySelectorAll('table')) {
    const frame = el('div', { class: 'table', tabindex: '0', role: 'group', 'aria-label': strings.table })
    table.replaceWith(frame)
    frame.append(table)
  }
  showSecrets(fragment)
  findDirections(fragment)
  for (const box of fragment.querySelectorAll('input')) {
    box.setAttribute('aria-label', box.parentElement.textContent.trim().slice(0, 100) || strings.checkbox)
  }
  for (const code of fragment.querySelectorAll('pre > code')) {
    const language = /language-([\w+#-]+)/.exec(code.className)?.[1]
    const pre = code.parentElement
    const source = code.textContent
    pre.tabIndex = 0
    const frame = el('div', { class: 'code', dataset: { language: language ?? '' } })
    pre.replaceWith(frame)
    frame.append(pre, copyButton(strings, source))
    if (language && isOver) whenNear(code, () => highlight([code], language))
  }
}

const MENTION = /(?<![\w@/.])@[\w./-]*\w/g

/** Marks the files that a person named with an @. */
function showMentions(fragment) {
  const walker = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT)
  const texts = []
  while (walker.nextNode()) if (walker.currentNode.data.includes('@')) texts.push(walker.currentNode)
  for (const text of texts) {
    if (text.parentElement?.closest('pre, code, a, .secret')) continue
    for (const { 0: mention, index } of [...text.data.matchAll(MENTION)].toReversed()) {
      const rest = text.splitText(index)
      rest.splitText(mention.length)
      rest.replaceWith(el('span', { class: 'mention' }, mention))
    }
  }
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
