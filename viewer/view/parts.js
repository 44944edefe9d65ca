// One part of a message as an element, by its kind. A text that grows has an `update(part)`, so that it is the same
// element all along.

import { copyButton, el, guarded, whenNear } from '../dom.js'
import { duration } from '../format.js'
import { icon } from '../icons.js'
import { times } from '../load/session.js'
import { renderMarkdown, standIn } from '../markdown.js'
import { strings } from '../strings.js'
import { own } from '../values.js'
import { fileBody, folded, frame, noteBox, rawView } from './frame.js'
import { toolView } from './tools.js'
import { filesOfPatch, isHidden, isSilent, textOf, wordsOf } from './words.js'

/**
 * What a part is shown as: its view, or nothing where it says nothing to a reader. `page` says how files are named
 * (`directory`) and where they lead (`link`).
 */
export function partView(part, page = {}) {
  if (isSilent(part)) return undefined
  const make = own(VIEWS, part.type) ?? rawView
  return guarded(
    () => make(part, page),
    () => rawView(part),
  )
}

const VIEWS = {
  ...{ text: words, reasoning, tool: toolView, file, patch },
  ...{ agent: note('agent'), model: note('agent'), retry: note('error') },
  ...{ compaction: note('compaction'), subtask: note('subtask') },
}

function words(part) {
  if (isHidden(part)) return undefined
  const first = textOf(part)
  if (first.raw) return rawView(part)
  if (!first.words) return undefined
  const body = el('div', { class: 'markdown' })
  const node = frame(
    part,
    'text',
    body,
    copyButton(strings, () => shown),
  )
  let shown
  let drawn = false
  let timer
  let last = 0
  const draw = () => {
    drawn = true
    last = performance.now()
    timer = undefined
    renderMarkdown(body, shown, { grows: body.classList.contains('growing') })
  }
  // Takes a newer version, when that is a text too.
  const update = (newer) => {
    const { words } = textOf(newer)
    if (!words || isHidden(newer)) return false
    if (words === shown) return true
    if (shown !== undefined && words.startsWith(shown)) grows(body, draw)
    shown = words
    // Far from the screen the plain text stands in, so that nothing jumps and find-in-page finds it.
    if (!drawn) standIn(body, shown)
    const wait = last + DRAW_EVERY - performance.now()
    if (drawn && wait > 0) timer ??= setTimeout(() => whenNear(body, draw), wait)
    else if (!timer) whenNear(body, draw)
    return true
  }
  update(part)
  return { node, update }
}

// A text that grows is drawn so often, in milliseconds.
const DRAW_EVERY = 80

// It grows no more when nothing was added to it for so long.
const GROWS = 2000

const growing = new WeakMap()

/** Marks a text as one that grows, until it does no more; then it is drawn to its end. */
function grows(body, draw) {
  clearTimeout(growing.get(body))
  body.classList.add('growing')
  const timer = setTimeout(() => {
    body.classList.remove('growing')
    whenNear(body, draw)
  }, GROWS)
  growing.set(body, timer)
}

function reasoning(part) {
  const { words, raw } = textOf(part)
  if (raw) return rawView(part)
  if (!words) return undefined
  const { start, end } = times(part)
  const took = end - start >= 1000 ? duration(end - start) : ''
  const line = words
    .slice(0, 1000)
    .trim()
    .split('\n')[0]
    .replace(/[*_`#]/g, '')
  const { node } = folded(
    part,
    'reasoning',
    [
      icon('thought'),
      el('span', { class: 'tool-name' }, strings.reasoning),
      el('span', { class: 'tool-what' }, line),
      el('span', { class: 'tool-meta' }, took),
    ],
    () => {
      const body = el('div', { class: 'markdown' })
      renderMarkdown(body, words)
      return body
    },
    words,
  )
  return { node }
}

function file(part) {
  return { node: frame(part, 'file', fileBody(part)) }
}

function patch(part) {
  const files = filesOfPatch(part)
  if (!files) return rawView(part)
  if (!files.length) return undefined
  const { node } = folded(
    part,
    'patch',
    [el('span', { class: 'tool-name' }, strings.patchOf(files.length))],
    () =>
      el(
        'ul',
        { class: 'plain' },
        files.map((file) => el('li', {}, el('code', { dir: 'auto' }, file))),
      ),
    files.join('\n'),
  )
  return { node }
}

/** Makes a part that is a short text, said quietly. */
function note(kind) {
  return (part) => ({ node: frame(part, kind, noteBox(wordsOf(part))) })
}
