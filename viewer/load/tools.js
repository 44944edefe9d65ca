// A tool's call read by its meaning, whichever agent made it: what it was about, what it changed, how it went. Pure;
// the server's Markdown reads calls in the same way (src/model/tools), by the same table of names and keys, and a table
// of cases holds both to it (tests/fixtures/tools.json).

import { isRecord, list, own, record, text } from '../values.js'
import { changesOfPatch, patchInCommand } from './apply-patch.js'
import { outcomeOf } from './outcome.js'
import table from './tools-table.js'

const TOOLS = new Map(
  Object.entries(table.tools).flatMap(([tool, { meaning, names }]) =>
    [tool, ...names].map((name) => [name, { tool, meaning }]),
  ),
)

/** The tool that is called by a meaning first of all. */
export const toolOf = (meaning) => Object.keys(table.tools).find((tool) => table.tools[tool].meaning === meaning)

/** What a tool is called before people; nothing when it is not known. */
export const labelOf = (tool) => own(table.tools, tool)?.label

const STATUSES = new Map(
  Object.entries(table.statuses).flatMap(([status, words]) => [status, ...words].map((word) => [word, status])),
)

/**
 * What a tool's part says:
 * - `tool`: the page's name for it, or its own; `server`: the MCP server that it belongs to
 * - `meaning`: `run`, `read`, `edit`, …, or nothing; `fits`: whether what is needed for that is there
 * - `about`: what the call was about, in a line; `within`: where it looked
 * - `command`, `paths`, `changes`, `todos`, `prompt`, `agent`, `questions`, `plan`, `url`, `query`: by its meaning. A
 *   change is `{ file, patch }`, `{ file, edits: [{ before, after }] }`, or `{ file, content }`, a file written whole.
 * - `exit`, `failed`, `output`: how it went, and what came out
 * - `rest`: what the input says beside all this
 */
export function callOf(part) {
  const state = record(part.state)
  const given = inputOf(state.input)
  const input = new Input(given)
  const name = named(text(part.tool))
  const read = name.meaning && READERS[name.meaning](input, record(state.metadata))
  const call = { changes: [], fits: false, ...name, ...read }
  const isRun = name.meaning === 'run' || call.tool === table.patcher
  return {
    ...call,
    about: call.about ?? line(state.title) ?? (name.meaning ? undefined : line(input.text('unknown'))),
    ...outcomeOf(state, isRun),
    rest: call.fits ? input.rest() : given,
  }
}

/** What a name says: the tool, its meaning, and its server when it is an MCP server's. */
function named(name) {
  const known = TOOLS.get(name.toLowerCase())
  if (known) return known
  const [server, tool] = ofServer(name) ?? []
  return tool ? { tool, server, meaning: TOOLS.get(tool.toLowerCase())?.meaning } : { tool: name }
}

/** `mcp__server__tool`, `server__tool`, `mcp_server_tool`, and `server_tool` of servers that are known. */
function ofServer(name) {
  const hasPrefix = (prefix) => name.slice(0, prefix.length).toLowerCase() === prefix && name.length > prefix.length
  const both = hasPrefix('mcp__') ? name.slice(5) : name
  const at = both.lastIndexOf('__')
  if (at > 0 && at + 2 < both.length) return [both.slice(0, at), both.slice(at + 2)]
  const end = name.indexOf('_', 4)
  if (hasPrefix('mcp_') && end > 4 && end + 1 < name.length) return [name.slice(4, end), name.slice(end + 1)]
  const known = table.servers.find((server) => hasPrefix(`${server}_`))
  return known && [name.slice(0, known.length), name.slice(known.length + 1)]
}

/** An input; when it is the text of a JSON object, as models write it, that object. */
function inputOf(input) {
  if (typeof input !== 'string' || !input.trimStart().startsWith('{')) return input
  try {
    return JSON.parse(input)
  } catch {
    return input
  }
}

/** A text that says something. */
const words = (value) => (typeof value === 'string' && value.trim() ? value : undefined)

const anyText = (value) => (typeof value === 'string' ? value : undefined)

const array = (value) => (Array.isArray(value) ? value : undefined)

/** A text, or several. */
const texts = (value) => words(value) ?? (array(value)?.length && value.every(words) ? value : undefined)

/** The first line of a text. */
const line = (value) => words(value)?.trimStart().split('\n', 1)[0].trimEnd()

/** What is read `as` something, under the first key of a field that holds such a thing. */
function field(fields, name, as = words) {
  for (const key of table.fields[name]) {
    const value = as(fields[key])
    if (value !== undefined) return value
  }
  return undefined
}

/** The fields of an input, and which of their values were read. */
class Input {
  #fields
  #read = new Set()

  constructor(input) {
    this.#fields = record(input)
    /** An input that is a text. */
    this.whole = anyText(input)
  }

  text(name, as = words) {
    const value = field(this.#fields, name, as)
    if (value !== undefined) this.#read.add(value)
    return value
  }

  texts(name) {
    return [this.text(name, texts) ?? []].flat()
  }

  /** What stands under all keys of a field. */
  all(name) {
    const found = table.fields[name].map((key) => words(this.#fields[key])).filter(Boolean)
    for (const value of found) this.#read.add(value)
    return found
  }

  list(name) {
    return this.text(name, array)
  }

  /** What nothing that was read says. */
  rest() {
    return Object.fromEntries(Object.entries(this.#fields).filter(([, value]) => !this.#read.has(value)))
  }
}

const READERS = {
  run(input) {
    const given = input.text('command', texts)
    const patch =
      Array.isArray(given) && given.length === 2 && given[0] === table.patcher ? { patch: given[1] } : undefined
    const command = Array.isArray(given) ? commandOf(given) : given
    const changes = patched(patch ?? patchInCommand(command ?? '') ?? {})
    // A shell that is given a patch and nothing else edits.
    if (changes.length) return { tool: table.patcher, meaning: 'edit', ...edited(changes) }
    return { command, about: line(command), fits: command !== undefined }
  },
  read: looked,
  list(input) {
    return { ...looked(input), fits: true }
  },
  search(input) {
    const pattern = input.text('pattern')
    const [path] = input.texts('path')
    const within = [path, ...input.all('include')].filter(Boolean)
    return { about: line(pattern), within: [...new Set(within)], fits: pattern !== undefined }
  },
  edit(input, metadata) {
    const paths = input.texts('path')
    const [file = ''] = paths
    const recorded = recordedChanges(metadata, file)
    const changes = [recorded, patchOfInput(input, file), editsOf(input, file), written(input, file)]
    // All are read, so that what the input says is known; the first counts.
    return edited(changes.find(({ length }) => length) ?? [], paths)
  },
  write(input, metadata) {
    return READERS.edit(input, metadata)
  },
  fetch(input) {
    const url = input.text('url')
    const query = input.texts('query').join(', ') || undefined
    return { url, query, about: line(url ?? query), fits: (url ?? query) !== undefined }
  },
  todo(input, metadata) {
    const todos = input.list('todos')
    const shown = array(metadata.todos) ?? todos
    return { todos: shown?.map(todoOf), fits: shown !== undefined }
  },
  task(input) {
    const [description, agent, prompt] = ['description', 'agent', 'prompt'].map((name) => input.text(name))
    return { prompt, agent, about: line(description ?? prompt), fits: (description ?? prompt) !== undefined }
  },
  question(input, metadata) {
    const questions = input.list('questions') ?? [{ question: input.text('question'), options: input.list('options') }]
    const read = questions.map((question, at) => questionOf(record(question), list(metadata.answers)[at]))
    const fits = read.length > 0 && read.every(({ question }) => question !== undefined)
    return fits ? { questions: read, about: line(read[0].question), fits } : { fits }
  },
  plan(input) {
    const plan = input.text('plan')
    return { plan, about: line(plan)?.replace(/^#+\s*/, ''), fits: plan !== undefined }
  },
}

function looked(input) {
  const paths = input.texts('path')
  return { paths, about: paths.length ? line(paths.join(', ')) : undefined, fits: paths.length > 0 }
}

/** A call that changes files. */
function edited(changes, named = []) {
  const files = [...new Set(changes.map(({ file }) => file))].filter(Boolean)
  const paths = files.length ? files : named
  return { paths, changes, about: paths.length ? line(paths.join(', ')) : undefined, fits: changes.length > 0 }
}

/** The changes that the agent recorded. */
function recordedChanges({ files, diff, filediff }, file) {
  const patches = list(files)
    .map(record)
    .map((fields) => ({ file: field(fields, 'file') ?? '', patch: words(fields.patch) ?? words(fields.diff) }))
    .filter(({ patch }) => patch !== undefined)
  if (patches.length) return patches
  const patch = words(diff) ?? words(record(filediff).patch)
  return patch === undefined ? [] : [{ file, patch }]
}

function patchOfInput(input, file) {
  const patch = input.whole ?? input.text('patch')
  if (patch === undefined) return []
  const changes = patched({ patch })
  return changes.length || !/^(?:@@|--- |diff )/m.test(patch) ? changes : [{ file, patch }]
}

/** What a patch of Codex changes; its files are named from a directory. */
function patched({ patch = '', directory }) {
  const changes = changesOfPatch(patch)
  if (!directory) return changes
  return changes.map((change) => ({
    ...change,
    file: change.file.startsWith('/') ? change.file : `${directory}/${change.file}`,
  }))
}

/** Old and new texts, as one change. */
function editsOf(input, file) {
  const both = (before, after) =>
    before === undefined && after === undefined ? undefined : { before: before ?? '', after: after ?? '' }
  const listed = list(input.list('edits'))
    .map(record)
    .map((edit) => both(field(edit, 'before', anyText), field(edit, 'after', anyText)))
  if (listed.includes(undefined)) return []
  const single = both(input.text('before', anyText), input.text('after', anyText))
  const isNew = single && !listed.some(({ before, after }) => before === single.before && after === single.after)
  const edits = [...listed, ...(isNew ? [single] : [])].filter(({ before, after }) => before !== after)
  return edits.length ? [{ file, edits }] : []
}

function written(input, file) {
  const content = input.text('content', anyText)
  return content === undefined ? [] : [{ file, content }]
}

function todoOf(todo) {
  if (!isRecord(todo)) return { content: JSON.stringify(todo), status: 'pending' }
  const given = field(todo, 'status')
  const isDone = field(todo, 'done', (value) => (typeof value === 'boolean' ? value : undefined))
  const status = given ?? (isDone ? 'completed' : 'pending')
  const word = status.toLowerCase().replace(/[ -]/g, '_')
  return { content: field(todo, 'entry') ?? JSON.stringify(todo), status: STATUSES.get(word) ?? status }
}

function questionOf(fields, answer) {
  const options = field(fields, 'options', array)?.map((option) => words(option) ?? field(record(option), 'option'))
  const answers = [answer].flat().map(text).filter(Boolean)
  return { question: field(fields, 'question'), options: list(options).filter(Boolean), answers }
}

/** The words of a command as a shell would be given them; of a shell that is given a script, the script. */
function commandOf(given) {
  const { names, flags } = table.shells
  const [shell, flag, script] = given
  if (given.length === 3 && names.includes(shell.split('/').at(-1)) && flags.includes(flag)) return script
  return given.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ')
}
