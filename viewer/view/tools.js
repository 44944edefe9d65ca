// A tool's call: one line that says what it did and how it went, and under it what went in and came out.

import { AnsiReader } from '../ansi.js'
import { el, guarded, spans, whenNear, write } from '../dom.js'
import { duration } from '../format.js'
import { highlight, languageOf } from '../highlight.js'
import { icon } from '../icons.js'
import { readCall } from '../load/calls.js'
import { roughPatchOf } from '../load/patch.js'
import { relativeTo } from '../load/paths.js'
import { times } from '../load/session.js'
import { renderMarkdown } from '../markdown.js'
import { safeLink } from '../sanitize.js'
import { strings } from '../strings.js'
import { isRecord, json, list, own, record, text } from '../values.js'
import { diffView } from './diff.js'
import { errorBox, fileBody, folded, isPicture, output, outputEnd } from './frame.js'
import { brief, isEdit, nameOf, wordsOf } from './words.js'

const STATUSES = new Set(['pending', 'running', 'completed', 'error'])

const isBusy = (status) => status === 'running'

/** A call's view, with the call as it was read. */
export function toolView(part, page = {}) {
  const state = record(part.state)
  const call = readCall(part)
  const view = viewOf(call)
  const status = STATUSES.has(state.status) ? state.status : ''
  const patches = call.changes
  const { node, details } = folded(
    part,
    isEdit(call) ? 'edit' : 'tool',
    callLine(call, state, patches, page),
    // Of what failed, or goes on, the end is what counts.
    () => body(call, state, patches, { ...page, isEnd: call.failed || isBusy(status) }),
    wordsOf(part),
    isEdit(call) || call.failed || (view.ends && isBusy(status)) || undefined,
  )
  const pictures = list(state.attachments).filter(isPicture)
  if (pictures.length) node.append(el('div', { class: 'pictures' }, pictures.map(fileBody)))
  node.dataset.tool = call.server === undefined ? call.tool : text(part.tool)
  node.dataset.status = status
  if (view.isOpen) {
    details.open = true
    details.make()
  }
  return { node, call }
}

/** A call's line: how it goes, what it was about, how it went. */
export function callLine(call, state, patches = [], page = {}) {
  const status = STATUSES.has(state.status) ? state.status : ''
  return [
    el('span', { class: `dot ${call.failed ? 'error' : status}`, title: text(state.status) }),
    icon(viewOf(call).sign ?? 'tool'),
    el('span', { class: 'tool-name', dir: 'auto' }, nameOf(call)),
    el(
      'span',
      { class: 'tool-what', dir: 'auto' },
      guarded(() => (viewOf(call).what ?? aboutWords)(call, page)),
    ),
    el(
      'span',
      { class: 'tool-meta' },
      guarded(() => meta(call, state, patches)),
    ),
  ]
}

// What a call was about, in a few words.

const aboutWords = ({ about }) => brief(about ?? '')

const code = (words) => el('code', {}, brief(words))

const aboutCommand = ({ about }) => code(about ?? '')

const namer =
  ({ directory = '' }) =>
  (path) =>
    shortPath(relativeTo(directory, path))

const aboutFiles = ({ about, paths = [] }, page) => code(paths.map(namer(page)).join(', ') || namer(page)(about ?? ''))

const aboutSearch = ({ about, within = [] }, page) =>
  code([about, within.map(namer(page)).join(', ')].filter(Boolean).join(strings.within))

const aboutTask = ({ about, agent }) => `${brief(about ?? '')}${agent ? ` (${brief(agent)})` : ''}`

const aboutTodos = ({ todos }) =>
  todos ? `${todos.filter(({ status }) => status === 'completed').length} / ${todos.length}` : ''

function meta(call, state, patches) {
  const { exit, failed } = call
  const words = []
  if (viewOf(call).ends ? exit !== undefined : exit)
    words.push(el('span', { class: exit === 0 ? 'good' : 'bad' }, strings.exit(text(exit))))
  const counts = failed ? [] : patches.map(({ counts }) => counts).filter(Boolean)
  if (counts.length && counts.length === patches.length) {
    const sum = (name) => counts.reduce((sum, count) => sum + count[name], 0)
    words.push(el('span', { class: 'good' }, `+${sum('added')}`), el('span', { class: 'bad' }, `−${sum('removed')}`))
  }
  const { start, end } = times(state)
  if (failed && !exit) words.push(el('span', { class: 'bad' }, strings.failed))
  if (state.status === 'running' || state.status === 'pending') {
    words.push(el('span', { class: 'busy', dataset: { since: String(start ?? '') } }, strings[state.status]))
  } else if (end - start >= 1000) {
    words.push(duration(end - start))
  }
  return words.flatMap((word, at) => (at ? [' ', word] : [word]))
}

/** What went in and came out. A call whose input is not as its meaning needs it is shown as one of a tool unknown. */
function body(call, state, patches, page = {}) {
  const make = call.fits ? viewOf(call).body : undefined
  const made = make && guarded(() => make(call, patches, page))
  const parts = made ? [...rest(call), ...made] : unknown(call.fits ? { ...call, rest: state.input } : call)
  if (state.status === 'error' || state.error) {
    const error = errorBox(text(state.error))
    // Why a call failed tells more than what it was given; a command stands above what came out of it.
    if (viewOf(call).ends && made) parts.push(error)
    else parts.unshift(error)
  }
  const { attachments } = state
  if (Array.isArray(attachments))
    parts.push(
      ...attachments
        .filter((file) => !isPicture(file))
        .map((file) =>
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

// What goes in and comes out, by the meaning of a call.

const cameOut = (call) => came(call)

const commandBody = (call, _, { isEnd }) => [
  commandBox(call.command),
  ...came(call, terminal, isEnd ? outputEnd : output),
]

const editBody = (call, patches, { directory, link }) => [
  ...patches.map(({ patch, ...change }) => {
    const rough = roughPatchOf(typeof patch === 'string' ? { patch } : change)
    const all = link && !call.failed && { href: link({ room: 'changes', file: relativeTo(directory, change.file) }) }
    const beside = () => all && el('a', all, strings.changesOfFile)
    return diffView(patch, change.file, rough, { directory, beside })
  }),
  ...(call.failed ? came(call) : []),
]

function writeBody(call, patches, page) {
  const [{ file, content }] = patches
  return content === undefined
    ? editBody(call, patches, page)
    : [source(content, file), ...(call.failed ? came(call) : [])]
}

function todoBody({ todos }) {
  const entries = todos.map(({ content, status }) =>
    el('li', { class: status }, el('span', { class: 'visually-hidden' }, `${status}: `), content),
  )
  return [el('ul', { class: 'todos' }, entries)]
}

const taskBody = (call) => [
  call.prompt && markdown(call.prompt, 'task-prompt'),
  call.output && markdown(taskOutput(call)),
]

const questionBody = (call) => [
  ...call.questions.map(({ question, options, answers }) =>
    el(
      'div',
      { class: 'question' },
      el('p', {}, question),
      options.length > 0 && el('p', { class: 'note' }, options.join(' · ')),
      (answers.length > 0 || !call.output) && el('p', { class: 'reply' }, answers.join(', ') || '…'),
    ),
  ),
  ...(call.questions.some(({ answers }) => answers.length) ? [] : came(call)),
]

function fetchBody(call) {
  const link = call.url && safeLink(call.url)
  return [
    call.url &&
      el(
        'p',
        {},
        link ? el('a', { href: link, target: '_blank', rel: 'noopener noreferrer nofollow' }, link) : call.url,
      ),
    call.url && call.query && el('p', { class: 'note' }, call.query),
    ...came(call),
  ]
}

const planBody = (call) => [markdown(call.plan), ...came(call)]

/**
 * How calls are shown, by their meaning: their `sign`; `what` they were about, where that is more than words; their
 * `body`; whether it `isOpen` by itself, because it is short and says what is going on; and whether it `ends` as a
 * command does, with a number.
 */
const VIEWS = {
  run: { sign: 'shell', what: aboutCommand, body: commandBody, ends: true },
  read: { sign: 'look', what: aboutFiles, body: cameOut },
  list: { sign: 'look', what: aboutFiles, body: cameOut },
  search: { sign: 'search', what: aboutSearch, body: cameOut },
  edit: { sign: 'edit', what: aboutFiles, body: editBody },
  write: { sign: 'edit', what: aboutFiles, body: writeBody },
  fetch: { sign: 'web', body: fetchBody },
  todo: { sign: 'todo', what: aboutTodos, body: todoBody, isOpen: true },
  task: { sign: 'task', what: aboutTask, body: taskBody },
  question: { sign: 'question', body: questionBody, isOpen: true },
  plan: { sign: 'list', body: planBody, isOpen: true },
}

const viewOf = ({ meaning }) => own(VIEWS, meaning) ?? {}

/** What a task gave, without what its client wraps it in. */
const taskOutput = ({ output: given }) =>
  text(given)
    .replace(/<\/?task[^>]*>/g, '')
    .trim()

/**
 * What a task says beside the steps of its subagent: its prompt, unless the subagent's own shows it (`isAsked`), and
 * what came out, unless that is what the subagent said last.
 */
export function besideSteps(call, state, isAsked, lastWords) {
  const isSaid = lastWords && taskOutput(call).includes(lastWords)
  const left = { prompt: isAsked ? undefined : call.prompt, output: isSaid ? undefined : call.output }
  return body({ ...call, ...left }, state, []).filter(Boolean)
}

/** What came out. */
const came = ({ output: shown }, painter, make = output) => (text(shown) ? [make(text(shown), painter)] : [])

// Characters of what an input says beside the rest, up to which it is a note.
const MAX_NOTE = 400

/** What an input says that its call's line and body do not. What is off says nothing. */
function rest({ rest }) {
  const entries = Object.entries(rest).filter(([, value]) => value !== false && value !== null)
  if (!entries.length) return []
  const isShort = entries.every(([, value]) => typeof value !== 'object' || value === null)
  const note = isShort ? entries.map(([name, value]) => `${name}: ${value}`).join(' · ') : ''
  if (isShort && note.length <= MAX_NOTE) return [el('p', { class: 'note' }, note.toWellFormed())]
  return [el('p', { class: 'label' }, strings.input), output(json(rest))]
}

function unknown({ rest, output: shown }) {
  const parts = []
  if (isRecord(rest) ? Object.keys(rest).length : rest)
    parts.push(el('p', { class: 'label' }, strings.input), output(json(rest)))
  if (shown) parts.push(el('p', { class: 'label' }, strings.output), output(text(shown), terminal))
  return parts
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
    write(node, shown)
    if (language) whenNear(node, () => highlight([node], language))
  })
}

function markdown(words, className = '') {
  const node = el('div', { class: `markdown ${className}` })
  renderMarkdown(node, words)
  return node
}

/** The last parts of a path, which tell the most. */
export function shortPath(path) {
  const names = path.split('/')
  return names.length > 4 ? `…/${names.slice(-3).join('/')}` : path
}
