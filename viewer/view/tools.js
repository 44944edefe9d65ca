// A tool's call: one line that says what it did and how it went, and under it what went in and came out.

import { AnsiReader } from '../ansi.js'
import { el, guarded, spans, whenNear } from '../dom.js'
import { duration } from '../format.js'
import { highlight, languageOf } from '../highlight.js'
import { times } from '../load/session.js'
import { renderMarkdown } from '../markdown.js'
import { safeLink } from '../sanitize.js'
import { strings } from '../strings.js'
import { isRecord, json, list, number, own, record, text } from '../values.js'
import { diffView } from './diff.js'
import { errorBox, fileBody, folded, output } from './frame.js'
import { lineCounts } from './rows.js'

/** Tools that only look. Runs of them are shown as one line. */
export const LOOKING = new Set(['read', 'grep', 'glob', 'list', 'ls'])

/** Tools that change files. */
export const EDITING = new Set(['edit', 'multiedit', 'write', 'apply_patch', 'patch'])

const STATUSES = new Set(['pending', 'running', 'completed', 'error'])

export function toolView(part) {
  const tool = text(part.tool)
  const state = record(part.state)
  const kind = EDITING.has(tool) ? 'edit' : 'tool'
  const status = STATUSES.has(state.status) ? state.status : ''
  const summary = [
    el('span', { class: `dot ${failed(tool, state) ? 'error' : status}`, title: text(state.status) }),
    el('span', { class: 'tool-name', dir: 'auto' }, nameOf(tool)),
    el(
      'span',
      { class: 'tool-what', dir: 'auto' },
      guarded(() => what(tool, record(state.input), state)),
    ),
    el(
      'span',
      { class: 'tool-meta' },
      guarded(() => meta(tool, state)),
    ),
  ]
  const plain = searchable(tool, state)
  const { node, details } = folded(
    part,
    kind,
    summary,
    () => body(tool, state),
    plain,
    kind === 'edit' || status === 'error' || undefined,
  )
  node.dataset.tool = tool
  node.dataset.status = status
  if (tool === 'todowrite' || tool === 'question') {
    details.open = true
    details.make()
  }
  return { node, text: () => plain }
}

/** Whether a command that came to its end says itself that it failed. */
const failed = (tool, state) => tool === 'bash' && Boolean(number(record(state.metadata).exit))

const nameOf = (tool) => own(strings.tools, tool) ?? (brief(tool) || strings.tool)

/** What a call was about, in a few words. */
function what(tool, input, state) {
  const path = input.filePath ?? input.path ?? input.file
  switch (tool) {
    case 'bash':
      return el('code', {}, firstLine(input.command))
    case 'read':
    case 'edit':
    case 'multiedit':
    case 'write':
    case 'list':
      return el('code', {}, shortPath(text(path ?? state.title)))
    case 'grep':
    case 'glob':
      return el('code', {}, `${brief(text(input.pattern))}${input.include ? ` in ${brief(text(input.include))}` : ''}`)
    case 'webfetch':
      return brief(text(input.url))
    case 'task':
      return `${brief(text(input.description))}${input.subagent_type ? ` (${brief(text(input.subagent_type))})` : ''}`
    case 'todowrite': {
      const todos = todosOf(input, state) ?? []
      return `${todos.filter((todo) => todo?.status === 'completed').length} / ${todos.length}`
    }
    default:
      return firstLine(state.title || Object.values(input).find((value) => typeof value === 'string') || '')
  }
}

function meta(tool, state) {
  const words = []
  const metadata = record(state.metadata)
  if (tool === 'bash' && metadata.exit !== undefined && metadata.exit !== null) {
    words.push(el('span', { class: metadata.exit === 0 ? 'good' : 'bad' }, strings.exit(text(metadata.exit))))
  }
  const diff = patchOf(metadata)
  if (diff) {
    const { added, removed } = lineCounts(diff)
    words.push(el('span', { class: 'good' }, `+${added}`), el('span', { class: 'bad' }, `−${removed}`))
  }
  const { start, end } = times(state)
  if (state.status === 'error') words.push(el('span', { class: 'bad' }, strings.failed))
  if (state.status === 'running' || state.status === 'pending') {
    words.push(el('span', { class: 'busy', dataset: { since: String(start ?? '') } }, strings[state.status]))
  } else if (end) {
    words.push(duration(end - start))
  }
  return words.flatMap((word, at) => (at ? [' ', word] : [word]))
}

/** The difference that an edit made, or nothing. */
function patchOf(metadata) {
  const patch = metadata.diff ?? record(metadata.filediff).patch
  return typeof patch === 'string' ? patch : undefined
}

/** What went in and came out. A call whose input is not as its tool's should be is shown as one of a tool unknown. */
function body(tool, state) {
  const input = state.input ?? {}
  const make = isRecord(input) ? own(BODIES, tool) : undefined
  const parts = [guarded(() => make?.(input, state)) ?? unknown(state)].flat()
  if (state.status === 'error' || state.error) parts.push(errorBox(text(state.error)))
  const { attachments } = state
  if (Array.isArray(attachments))
    parts.push(
      ...attachments.map((file) =>
        guarded(
          () => fileBody(file),
          () => output(json(file)),
        ),
      ),
    )
  else if (attachments) parts.push(output(json(attachments)))
  if (record(state.metadata).truncated) parts.push(el('p', { class: 'note' }, strings.truncated))
  return parts
}

const BODIES = {
  bash(input, state) {
    const shown = text(state.output ?? record(state.metadata).output)
    const command = text(input.command)
    return [commandBox(command), shown && output(shown, terminal)]
  },
  read(input, state) {
    const shown = text(state.output)
    return [shown && output(shown)]
  },
  edit: edits,
  multiedit: edits,
  apply_patch: edits,
  patch: edits,
  write(input, state) {
    const { diff, filediff } = record(state.metadata)
    if (diff || filediff || input.content === undefined) return edits(input, state)
    return source(text(input.content), text(input.filePath))
  },
  todowrite(input, state) {
    const entries = todosOf(input, state)?.map((todo) => {
      const { content, status } = isRecord(todo) ? todo : { content: json(todo) }
      const state = text(status) || 'pending'
      return el('li', { class: state }, el('span', { class: 'visually-hidden' }, `${state}: `), text(content))
    })
    return entries && el('ul', { class: 'todos' }, entries)
  },
  task(input, state) {
    const parts = []
    if (input.prompt) parts.push(markdown(text(input.prompt), 'task-prompt'))
    if (state.output)
      parts.push(
        markdown(
          text(state.output)
            .replace(/<\/?task[^>]*>/g, '')
            .trim(),
        ),
      )
    return parts.length ? parts : undefined
  },
  question(input, state) {
    const questions = input.questions ?? [input]
    if (!Array.isArray(questions) || !questions.every((question) => typeof question?.question === 'string'))
      return undefined
    const answers = list(record(state.metadata).answers)
    return questions.map(({ question }, at) =>
      el(
        'div',
        { class: 'question' },
        el('p', {}, question),
        el('p', { class: 'reply' }, [answers[at]].flat().map(text).filter(Boolean).join(', ') || '…'),
      ),
    )
  },
  webfetch(input, state) {
    const link = safeLink(text(input.url))
    if (!link) return undefined
    return [
      el('p', {}, el('a', { href: link, target: '_blank', rel: 'noopener noreferrer nofollow' }, link)),
      state.output && output(text(state.output)),
    ]
  },
}

function unknown(state) {
  const parts = []
  const { input } = state
  if (isRecord(input) ? Object.keys(input).length : input)
    parts.push(el('p', { class: 'label' }, strings.input), output(json(input)))
  if (state.output) parts.push(el('p', { class: 'label' }, strings.output), output(text(state.output), terminal))
  return parts
}

/** The changes of one file, or of several. */
function edits(input, state) {
  const metadata = record(state.metadata)
  const patches = list(metadata.files).map((file) => record(file).patch ?? record(file).diff)
  if (!patches.some(Boolean)) patches.push(patchOf(metadata))
  const diffs = patches
    .filter((patch) => typeof patch === 'string' && patch)
    .map((patch) => diffView(patch, text(input.filePath)))
  if (diffs.length) return diffs
  return input.patchText ? output(text(input.patchText)) : undefined
}

function commandBox(command) {
  const box = output(`$ ${command}`, undefined, command)
  box.classList.replace('output', 'command')
  return box
}

/** Puts pieces of a terminal's output into nodes. Colours go on from one to the next. */
function terminal() {
  const reader = new AnsiReader()
  return (node, output) => node.replaceChildren(spans(reader.read(output)))
}

/** Source text, coloured when it comes into view. */
function source(content, path) {
  const language = languageOf(path)
  return output(content, () => (node, shown) => {
    node.textContent = shown.toWellFormed()
    if (language) whenNear(node, () => highlight([node], language))
  })
}

function markdown(words, className = '') {
  const node = el('div', { class: `markdown ${className}` })
  renderMarkdown(node, words)
  return node
}

/** The list that a call wrote; nothing when it is no list. */
function todosOf(input, state) {
  const todos = record(state.metadata).todos ?? input.todos
  return Array.isArray(todos) ? todos : undefined
}

const firstLine = (value) => brief(text(value).slice(0, 10_000).trim().split('\n')[0])

/** So much of a text as a line can show. */
const brief = (words) => words.slice(0, 200)

/** The last parts of a path, which tell the most. */
export function shortPath(path) {
  const names = path.split('/')
  return names.length > 4 ? `…/${names.slice(-3).join('/')}` : path
}

function searchable(tool, state) {
  const values = isRecord(state.input)
    ? Object.values(state.input).filter((value) => typeof value === 'string')
    : [text(state.input)]
  return [nameOf(tool), ...values, text(state.output), text(state.error)].join('\n')
}
