// Making elements without HTML text. Text given here is always text.

import { fragmentOf } from './address.js'
import { copyText } from './clipboard.js'
import { icon } from './icons.js'
import { piecesOf, runsWithSecrets } from './secrets.js'
import { strings } from './strings.js'
import { text } from './values.js'

/** `el('a', { class: 'x', href, onclick }, 'text', child)` */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value)
    else if (key === 'dataset') Object.assign(node.dataset, value)
    else node.setAttribute(key, value === true ? '' : value)
  }
  for (const child of children.flat()) {
    if (child === undefined || child === null || child === false || child === '') continue
    if (child instanceof Node) node.append(child)
    else node.append(...textNodes(text(child)))
  }
  return node
}

/** A button with a sign, which says what it does to who points at it and who hears the page. */
export const iconButton = (label, name, action, className = '') =>
  el(
    'button',
    { class: `icon ${className}`, type: 'button', title: label, 'aria-label': label, onclick: action },
    icon(name),
  )

/** Runs of text, `[{ text, classes, isMarked }]`, as elements. */
export function spans(runs) {
  const fragment = document.createDocumentFragment()
  for (const { text, classes, isMarked, secret } of runsWithSecrets(runs)) {
    if (secret) fragment.append(chip(text, secret))
    else if (isMarked) fragment.append(el('mark', { class: classes || undefined }, text))
    else fragment.append(classes ? el('span', { class: classes }, text) : text)
  }
  return fragment
}

/** A text as nodes: what was hidden in it is a chip. */
const textNodes = (words) =>
  piecesOf(words).map(({ text, secret }) => (secret ? chip(text, secret) : document.createTextNode(text)))

/** What stands where a secret was. Its text is the placeholder's: that is found, copied and taken along. */
function chip(placeholder, secret) {
  const inner = document.createElement('span')
  inner.textContent = placeholder
  const label = strings.secret(secret)
  return el(
    'span',
    { class: 'secret', role: 'img', 'aria-label': label, title: strings.secretHint, dataset: { secret } },
    inner,
  )
}

/** Puts a text into a node, in place of what was there. */
export function write(node, words) {
  node.replaceChildren(...textNodes(words.toWellFormed()))
}

/** Puts words of the page's own into a node, unless they stand there. */
export function rewrite(node, words) {
  if (node.textContent !== words) node.textContent = words
}

/** Makes chips of what was hidden in the texts of elements that are not shown yet. */
export function showSecrets(fragment) {
  if (piecesOf(fragment.textContent).length === 1) return
  const texts = []
  const walker = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) texts.push(walker.currentNode)
  for (const text of texts) {
    const nodes = textNodes(text.data)
    if (nodes.length > 1 || nodes[0]?.nodeType === Node.ELEMENT_NODE) text.replaceWith(...nodes)
  }
}

/** What `make` returns; when it fails, what `instead` does. So one fault does not take what stands beside it. */
export function guarded(make, instead = () => undefined) {
  try {
    return make()
  } catch (error) {
    console.warn(error)
    return instead(error)
  }
}

/** Brings a node's children into an order with as few moves as there are differences. */
export function arrange(parent, nodes) {
  let at = parent.firstChild
  for (const node of nodes) {
    if (node === at) at = at.nextSibling
    else parent.insertBefore(node, at)
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

/** A button that copies, and says so. */
export function copyButton(strings, words, label = strings.copy) {
  const attributes = { class: 'copy', type: 'button', title: label, 'aria-label': label }
  const button = el('button', attributes, icon('copy'), icon('check'))
  button.addEventListener('click', async (event) => {
    event.stopPropagation()
    event.preventDefault()
    if (!(await copyText(typeof words === 'function' ? words() : words))) return
    button.classList.add('done')
    button.setAttribute('aria-label', strings.copied)
    setTimeout(() => {
      button.classList.remove('done')
      button.setAttribute('aria-label', label)
    }, 1500)
  })
  return button
}

/** Every fold within a node, one after the other; also those that are made when what they stand in is. */
export function* foldsWithin(root, which = 'details') {
  const seen = new Set()
  for (let before = -1; seen.size > before;) {
    before = seen.size
    for (const details of root.querySelectorAll(which)) {
      if (seen.has(details)) continue
      seen.add(details)
      yield details
    }
  }
}

// Milliseconds of work after which the browser gets its turn: to answer a click, to draw.
const SLICE = 12

const turn = () => new Promise((resolve) => setTimeout(resolve))

// What waits for the next frame, and what is due behind one: looks first, and then changes, for a look behind a change
// would lay the page out once more.
const next = { looks: [], changes: [] }
const due = { looks: [], changes: [] }
let isAwaited = false

/** Does something behind the next frame, when the page is laid out: to look at it costs nothing then. */
export const behindFrame = (look) => awaitFrame('looks', look)

/** Resolves behind the next frame, when all have looked: what changes the page then is laid out by the one after. */
const looked = () => new Promise((resolve) => awaitFrame('changes', resolve))

function awaitFrame(kind, action) {
  next[kind].push(action)
  if (isAwaited) return
  isAwaited = true
  requestAnimationFrame(() => {
    isAwaited = false
    for (const kind of Object.keys(next)) due[kind].push(...next[kind].splice(0))
    setTimeout(endFrame)
  })
}

function endFrame() {
  for (const look of due.looks.splice(0)) guarded(look)
  for (const change of due.changes.splice(0)) change()
}

/**
 * Has something looked at behind each frame in which a reader has scrolled, or the window has got another size, until
 * the signal says that it is over. Gives what has it looked at once more.
 */
export function onScrolled(look, signal) {
  let isDue = false
  const soon = () => {
    if (isDue) return
    isDue = true
    behindFrame(() => {
      isDue = false
      look()
    })
  }
  addEventListener('scroll', soon, { passive: true, signal })
  addEventListener('resize', soon, { signal })
  return soon
}

/**
 * Does something with each of these, in slices between which the browser gets its turn, or what else they `pause` for.
 * All at once when `atOnce`.
 */
export async function inSlices(things, work, atOnce = false, pause = turn) {
  let began = performance.now()
  for (const thing of things) {
    if (!atOnce && performance.now() - began > SLICE) {
      await pause()
      began = performance.now()
    }
    guarded(() => work(thing))
  }
}

// Work that has begun and goes on.
const underWay = new Set()

/** Notes work that goes on, for who has to wait for all of it. What stands in stays when it fails. */
export function track(work) {
  const done = Promise.resolve(work).catch(console.warn)
  underWay.add(done)
  done.then(() => underWay.delete(done))
  return done
}

/** A link to a place of this page, which copies its address too. */
export function anchor(strings, id) {
  const node = el(
    'a',
    {
      ...{ class: 'anchor', title: strings.copyLink, 'aria-label': strings.copyLink },
      href: fragmentOf({ id }, location.hash),
    },
    '#',
  )
  node.addEventListener('click', () => copyText(new URL(node.hash, location.href).href))
  return node
}

/** Saves bytes or a text as a file. As bytes of no kind, so that no browser opens them as a page of this server. */
export function save(name, content, type = 'application/octet-stream') {
  const url = URL.createObjectURL(new Blob([content], { type }))
  el('a', { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

const waiting = new WeakMap()
let near = new Set()
let isRunning = false
// Farther than `content-visibility` lays out, which is one and a half screens: what stands in is not laid out then.
const observer = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) comesNear(target, isIntersecting)
  },
  { rootMargin: '400% 0px' },
)

// So many nodes that work on near ones has made wait are near themselves; more are looked at first.
const MADE_NEAR = 30

/** Notes that a node which waits is near the screen now, or is not any more. */
export function comesNear(node, isNear = true) {
  if (!isNear || !waiting.has(node)) near.delete(node)
  else near.add(node)
  if (near.size && !isRunning) runNear()
}

/**
 * Does the work of nodes that are near, a slice a frame, so that who scrolls gets frames. Each is taken out when its
 * turn comes, for more may come meanwhile.
 */
async function runNear() {
  isRunning = true
  await turn()
  // A frame may have come meanwhile at which somebody is to look.
  if (due.looks.length) await new Promise((resolve) => due.changes.push(resolve))
  await inSlices(
    (function* () {
      for (let node; near.size;) {
        ;[node] = near
        near.delete(node)
        yield node
      }
    })(),
    (node) => {
      made = []
      begin(node)
      // What is nearest is done to its end before what is farther.
      near = new Set([...made.filter((node) => waiting.has(node)), ...near])
      made = undefined
    },
    false,
    looked,
  )
  isRunning = false
}

// What waits in a near node, while that is worked on: it is near too. It would be laid out before it could be seen to
// be near, and laid out anew when its work is done.
let made

/** Does the work of a node, near or not. */
export function begin(node) {
  const work = waiting.get(node)
  settled(node)
  // What stands in stays when the work fails.
  guarded(() => track(work?.()))
}

/** Notes that what was to be done when a node comes near is done, or not wanted any more. */
export function settled(node) {
  observer.unobserve(node)
  near.delete(node)
  waiting.delete(node)
  delete node.dataset.lazy
}

/** Has costly work on a node wait until somebody says that it is near, or asks for it. Later work takes its place. */
export function postpone(node, work) {
  waiting.set(node, work)
  node.dataset.lazy = ''
}

/** Does costly work on a node when it comes near the screen. Later work takes the place of earlier. */
export function whenNear(node, work) {
  postpone(node, work)
  // Watched anew, so that it is told again where it stands.
  observer.unobserve(node)
  if (made && near.size + made.length < MADE_NEAR) made.push(node)
  else observer.observe(node)
}

const lazyWithin = (root) => [...root.querySelectorAll('[data-lazy]')]

/** Begins at once what waits within a node, and what that makes wait in turn: for printing. */
export function beginWithin(root) {
  for (let nodes = lazyWithin(root); nodes.length; nodes = lazyWithin(root)) nodes.forEach(begin)
}

/** Does all that waits within a node, to its end: for what is taken along. */
export async function finishWithin(root) {
  for (let nodes = lazyWithin(root); nodes.length || underWay.size; nodes = lazyWithin(root)) {
    await inSlices(nodes, begin)
    await Promise.all(underWay)
  }
}
