// A tool's call: one line that says what it did and how it went, and under it what went in and came out.

import { renderAnsi } from '../ansi.js'
import { copyButton, el, whenNear } from '../dom.js'
import { count, duration } from '../format.js'
import { highlight, languageOf } from '../highlight.js'
import { renderMarkdown } from '../markdown.js'
import { safeLink } from '../sanitize.js'
import { strings } from '../strings.js'
import { diffView, lineCounts } from './diff.js'
import { fileBody, folded } from './frame.js'

// Lines of an output that are shown at first.
const FIRST_LINES = 60
const FIRST_CHARACTERS = 12_000

/** Tools that only look. Runs of them are shown as one line. */
export const LOOKING = new Set(['read', 'grep', 'glob', 'list', 'ls'])

/** Tools that change files. */
export const EDITING = new Set(['edit', 'multiedit', 'write', 'apply_patch', 'patch'])

export function toolView(part) {
  const { tool, state = {} } = part
  const input = state.input ?? {}
  const kind = EDITING.has(tool) ? 'edit' : 'tool'
  const name = strings.tools[tool] ?? tool
  const failed = state.status === 'error'
  const summary = [
    el('span', { class: `dot ${state.status ?? ''}`, title: state.status }),
    el('span', { class: 'tool-name', dir: 'auto' }, name),
    el('span', { class: 'tool-what', dir: 'auto' }, what(tool, input, state)),
    el('span', { class: 'tool-meta' }, meta(tool, state)),
  ]
  const plain = searchable(tool, input, state)
  const { node, details } = folded(part, kind, summary, () => body(tool, input, state), plain, kind === 'edit' || failed || undefined)
  node.dataset.tool = tool
  node.dataset.status = state.status ?? ''
  if (tool === 'todowrite' || tool === 'question') {
    details.open = true
    details.make()
  }
  return { node, text: () => plain }
}

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
      return el('code', {}, shortPath(path ?? state.title ?? ''))
    case 'grep':
    case 'glob':
      return el('code', {}, `${input.pattern ?? ''}${input.include ? ` in ${input.include}` : ''}`)
    case 'webfetch':
      return input.url ?? ''
    case 'task':
      return `${input.description ?? ''}${input.subagent_type ? ` (${input.subagent_type})` : ''}`
    case 'todowrite': {
      const todos = todosOf(input, state)
      return `${todos.filter(({ status }) => status === 'completed').length} / ${todos.length}`
    }
    default:
      return firstLine(state.title || Object.values(input).find((value) => typeof value === 'string') || '')
  }
}

function meta(tool, state) {
  const words = []
  if (tool === 'bash' && state.metadata?.exit !== undefined && state.metadata.exit !== null) {
    words.push(el('span', { class: state.metadata.exit === 0 ? 'good' : 'bad' }, strings.exit(state.metadata.exit)))
  }
  const diff = state.metadata?.diff ?? state.metadata?.filediff?.patch
  if (diff) {
    const { added, removed } = lineCounts(diff)
    words.push(el('span', { class: 'good' }, `+${added}`), el('span', { class: 'bad' }, `−${removed}`))
  }
  if (state.status === 'error') words.push(el('span', { class: 'bad' }, strings.failed))
  if (state.status === 'running' || state.status === 'pending') {
    words.push(el('span', { class: 'busy', dataset: { since: state.time?.start ?? '' } }, strings[state.status]))
  } else if (state.time?.end) {
    words.push(duration(state.time.end - state.time.start))
  }
  return words.flatMap((word, at) => (at ? [' ', word] : [word]))
}

function body(tool, input, state) {
  const parts = [(BODIES[tool] ?? unknown)(input, state)].flat()
  if (state.status === 'error') parts.push(el('pre', { class: 'error-text', dir: 'auto' }, state.error ?? ''))
  for (const file of state.attachments ?? []) parts.push(fileBody(file))
  if (state.metadata?.truncated) parts.push(el('p', { class: 'note' }, strings.truncated))
  return parts
}

const BODIES = {
  bash(input, state) {
    const shown = state.output ?? state.metadata?.output ?? ''
    return [
      el('div', { class: 'code command' }, el('pre', { tabindex: '0' }, el('code', {}, `$ ${input.command ?? ''}`)), copyButton(strings, input.command ?? '')),
      shown && output(shown, renderAnsi),
    ]
  },
  read(input, state) {
    return state.output && output(state.output, (node, text) => {
      node.textContent = text
    })
  },
  edit: edits,
  multiedit: edits,
  apply_patch: edits,
  patch: edits,
  write(input, state) {
    if (state.metadata?.diff || state.metadata?.filediff) return edits(input, state)
    return input.content !== undefined && source(input.content, input.filePath)
  },
  todowrite(input, state) {
    return el(
      'ul',
      { class: 'todos' },
      todosOf(input, state).map(({ content, status }) => el('li', { class: status ?? 'pending' }, el('span', { class: 'visually-hidden' }, `${status}: `), content)),
    )
  },
  task(input, state) {
    const parts = []
    if (input.prompt) parts.push(markdown(input.prompt, 'task-prompt'))
    if (state.output) parts.push(markdown(state.output.replace(/<\/?task[^>]*>/g, '').trim()))
    return parts
  },
  question(input, state) {
    const answers = state.metadata?.answers ?? []
    return (input.questions ?? [input]).map((question, at) =>
      el('div', { class: 'question' }, el('p', {}, question.question ?? ''), el('p', { class: 'reply' }, [answers[at]].flat().filter(Boolean).join(', ') || '…')),
    )
  },
  webfetch(input, state) {
    const link = safeLink(input.url)
    return [link && el('p', {}, el('a', { href: link, target: '_blank', rel: 'noopener noreferrer nofollow' }, input.url)), state.output && output(state.output)]
  },
}

function unknown(input, state) {
  const parts = []
  if (Object.keys(input).length) parts.push(el('p', { class: 'label' }, strings.input), output(JSON.stringify(input, null, 2)))
  if (state.output) parts.push(el('p', { class: 'label' }, strings.output), output(typeof state.output === 'string' ? state.output : JSON.stringify(state.output, null, 2), renderAnsi))
  return parts
}

/** The changes of one file, or of several. */
function edits(input, state) {
  const files = state.metadata?.files
  const patches = Array.isArray(files) ? files.map((file) => file.patch ?? file.diff).filter(Boolean) : []
  if (!patches.length) patches.push(state.metadata?.diff ?? state.metadata?.filediff?.patch)
  const diffs = patches.filter((patch) => typeof patch === 'string' && patch).map((patch) => diffView(patch, input.filePath))
  if (diffs.length) return diffs
  return input.patchText ? output(input.patchText) : unknown(input, state)
}

/** Source text, coloured when it comes into view. */
function source(text, path) {
  return output(text, (node, shown) => {
    node.textContent = shown
    const language = languageOf(path)
    if (language) whenNear(node, () => highlight(node, language))
  })
}

function markdown(text, className = '') {
  const node = el('div', { class: `markdown ${className}` })
  renderMarkdown(node, text)
  return node
}

/** A text that may be long: its start, and a button for the rest. */
function output(text, render = (node, shown) => (node.textContent = shown)) {
  const code = el('code', { dir: 'auto' })
  const box = el('div', { class: 'code output' }, el('pre', { tabindex: '0' }, code), copyButton(strings, text))
  const lines = text.split('\n')
  const start = lines.slice(0, FIRST_LINES).join('\n').slice(0, FIRST_CHARACTERS)
  render(code, start)
  if (start.length < text.length) {
    const button = el('button', { class: 'more', type: 'button' }, strings.showAll(count(lines.length)))
    button.addEventListener('click', () => {
      render(code, text)
      button.remove()
    })
    box.append(button)
  }
  return box
}

function todosOf(input, state) {
  const todos = state.metadata?.todos ?? input.todos
  return Array.isArray(todos) ? todos : []
}

const firstLine = (text) => String(text ?? '').trim().split('\n')[0].slice(0, 200)

/** The last parts of a path, which tell the most. */
export function shortPath(path) {
  const names = String(path).split('/')
  return names.length > 4 ? `…/${names.slice(-3).join('/')}` : String(path)
}

function searchable(tool, input, state) {
  const values = Object.values(input).filter((value) => typeof value === 'string')
  return [strings.tools[tool] ?? tool, ...values, state.output ?? '', state.error ?? ''].filter((text) => typeof text === 'string').join('\n')
}
