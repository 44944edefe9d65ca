// One part of a message as an element, by its kind. Each view has an `update(part)`, so that a text that grows is the same
// element all along.

import { copyButton, el, whenNear } from '../dom.js'
import { duration } from '../format.js'
import { renderMarkdown } from '../markdown.js'
import { strings } from '../strings.js'
import { fileBody, folded, frame } from './frame.js'
import { toolView } from './tools.js'

/** What a part is shown as: its view, or nothing where it says nothing to a reader. */
export function partView(part) {
  const make = VIEWS[part.type]
  return make?.(part)
}

const VIEWS = { text, reasoning, tool: toolView, file, patch, agent, retry, compaction, subtask }

function text(part) {
  if (part.synthetic || part.ignored || !part.text?.trim()) return undefined
  const body = el('div', { class: 'markdown' })
  const node = frame(part, 'text', body, copyButton(strings, () => shown))
  let shown
  let drawn = false
  const update = (newer) => {
    if (newer.text === shown) return
    shown = newer.text
    // Far from the screen the plain text stands in, so that nothing jumps and find-in-page finds it.
    if (!drawn) body.textContent = shown
    whenNear(body, () => {
      drawn = true
      renderMarkdown(body, shown)
    })
  }
  update(part)
  return { node, update, text: () => shown }
}

function reasoning(part) {
  if (!part.text?.trim()) return undefined
  const took = part.time?.end ? duration(part.time.end - part.time.start) : ''
  const line = part.text.trim().split('\n')[0].replace(/[*_`#]/g, '')
  const { node } = folded(
    part,
    'reasoning',
    [el('span', { class: 'tool-name' }, strings.reasoning), el('span', { class: 'tool-what' }, line), el('span', { class: 'tool-meta' }, took)],
    () => {
      const body = el('div', { class: 'markdown' })
      renderMarkdown(body, part.text)
      return body
    },
    part.text,
  )
  return { node, text: () => part.text }
}

function file(part) {
  return { node: frame(part, 'file', fileBody(part)), text: () => part.filename ?? '' }
}

function patch(part) {
  const files = part.files ?? []
  if (!files.length) return undefined
  const { node } = folded(
    part,
    'patch',
    [el('span', { class: 'tool-name' }, strings.patchOf(files.length))],
    () => el('ul', { class: 'plain' }, files.map((file) => el('li', {}, el('code', { dir: 'auto' }, String(file))))),
    files.join('\n'),
  )
  return { node, text: () => files.join('\n') }
}

const note = (part, kind, ...words) => ({ node: frame(part, kind, el('p', { class: 'note' }, ...words)), text: () => words.join(' ') })

function agent(part) {
  return note(part, 'agent', strings.agentSwitch(part.name))
}

function retry(part) {
  return note(part, 'error', strings.retry(part.attempt), ': ', errorText(part.error))
}

function compaction(part) {
  return note(part, 'compaction', strings.compaction)
}

function subtask(part) {
  return note(part, 'subtask', `${strings.subtask}: `, part.description ?? '', ' — ', part.prompt ?? '')
}

/** What an error says, in one text. */
export function errorText(error) {
  if (!error) return ''
  if (error.name === 'MessageAbortedError') return strings.aborted
  const data = error.data ?? {}
  const status = data.statusCode ? ` (${data.statusCode})` : ''
  return `${data.message ?? error.message ?? error.name ?? strings.error}${status}`
}
