// The turns of a session, or of one of its subagents, kept: a change is a change of its turn alone. What a turn came to
// is counted when somebody asks for it, and then again only when something of it has changed. Pure.

import { isRecord, list, number, record, text } from '../values.js'
import { callIn } from './calls.js'
import { relativeTo } from './paths.js'
import { isOver, messagesOfTurn, promptText, times } from './session.js'
import { testResults } from './test-results.js'

export class Turns {
  #session
  #subagent
  #shape
  #byId = new Map()
  #ofMessage = new Map()
  #totals

  /** In reading order. */
  all = []

  constructor(session, subagent) {
    this.#session = session
    this.#subagent = subagent
  }

  /** Takes in what changed: these messages, or whatever there is when none are named. */
  update(changed) {
    this.#totals = undefined
    if (!changed || this.#session.shape !== this.#shape) this.#rebuild(!changed)
    for (const id of changed ?? []) this.#ofMessage.get(id)?.touch()
  }

  #rebuild(isAll) {
    this.#shape = this.#session.shape
    const known = this.#byId
    this.#byId = new Map()
    this.#ofMessage = new Map()
    this.all = this.#session.turns(this.#subagent).map(({ id, prompt, answers }, at) => {
      const turn = known.get(id) ?? new Turn(id, this.#session)
      turn.place(at + 1, prompt, answers, isAll)
      this.#byId.set(id, turn)
      for (const { id } of turn.messages) this.#ofMessage.set(id, turn)
      return turn
    })
    const last = this.all.at(-1)
    for (const turn of this.all) turn.last(turn === last)
  }

  /** The turn of an id; nothing when there is none. */
  get(id) {
    return this.#byId.get(id)
  }

  /** The turn in which a message stands, also one of a subagent. */
  of(message) {
    return this.#ofMessage.get(message)
  }

  /** The ids of all that failed, in order. */
  get errors() {
    return this.all.flatMap(({ sum }) => sum.errors)
  }

  /** When something of them last came to its end, or began; without counting all of them. */
  get ended() {
    const { updated } = times(this.#session.info)
    return Math.max(updated ?? 0, this.all.at(-1)?.sum.ended ?? 0) || undefined
  }

  /** What all turns came to, together. */
  get totals() {
    this.#totals ??= totalsOf(this.all, this.#session.info)
    return this.#totals
  }
}

class Turn {
  /** Another number with every change. */
  version = 0
  /** Its place, counted from 1. */
  number = 0
  prompt = undefined
  answers = []
  /** All messages that are shown in it: its own, and those of subagents. */
  messages = []
  #session
  #isLast = false
  #sum

  constructor(id, session) {
    this.id = id
    this.#session = session
  }

  place(number, prompt, answers, isChanged) {
    const messages = this.#session.withSubagents(messagesOfTurn({ prompt, answers }))
    const isSame =
      messages.length === this.messages.length && messages.every(({ id }, at) => id === this.messages[at].id)
    Object.assign(this, { prompt, answers, messages })
    if (isChanged || !isSame || number !== this.number) this.touch()
    this.number = number
  }

  last(isLast) {
    if (isLast !== this.#isLast) this.touch()
    this.#isLast = isLast
  }

  touch() {
    this.version += 1
    this.#sum = undefined
  }

  /** The first words of its prompt. */
  get label() {
    return this.prompt ? firstWords(promptText(this.#session.partsOf(this.prompt))) : ''
  }

  /**
   * What it came to:
   * - `files`, `added`, `removed`: what it changed; `edits`, by the calls: `[{ file, part, change }]`
   * - `commands`: how many; `tests`: `{ passed, failed }` of the last run of tests
   * - `errors`: the ids of parts and errors that failed, in order
   * - `outcome`: `running`, `failed`, `stopped`, `done`
   * - `cost`, `tokens`, `models`, `started`, `ended`
   */
  get sum() {
    this.#sum ??= sumOf(this, this.#session, this.#isLast)
    return this.#sum
  }
}

/** A text in one line, without the marks of bold words and of code. */
export const withoutMarks = (words) =>
  words
    .trim()
    .replace(/(\*\*|`)([^*`\n]+)\1/g, '$2')
    .replace(/\s+/g, ' ')

/** The first words of a prompt, in one line. */
export const firstWords = (words) => withoutMarks(words.slice(0, 2000)).slice(0, 160)

// What single parts say, by the parts, which are other objects once they change.
const said = new WeakMap()

/** What a call adds to the sum of its turn. */
function callSum(part) {
  let sum = said.get(part)
  if (!sum) {
    const call = callIn(part)
    const isRun = call.meaning === 'run'
    sum = { call, isRun, tests: isRun && typeof call.output === 'string' ? testResults(call.output) : undefined }
    said.set(part, sum)
  }
  return sum
}

function sumOf({ prompt, answers, messages }, session, isLast) {
  const sum = {
    ...{ edits: [], commands: 0, looks: 0, tests: undefined, errors: [], cost: 0, models: [] },
    ...{ tokens: noTokens(), started: undefined, ended: undefined },
  }
  let hasFailed = false
  for (const message of messages) {
    const { info } = message
    if (info.role === 'assistant') addInfo(sum, info)
    for (const part of session.partsOf(message)) {
      if (part.type !== 'tool') continue
      const { call, isRun, tests } = callSum(part)
      const { status } = record(part.state)
      if (isRun) sum.commands += 1
      if (tests) sum.tests = tests
      const isBad = Boolean(call.failed)
      if (isBad) sum.errors.push(part.id)
      // How the last command, or the last run of tests, came out, is how the turn did.
      if (tests) hasFailed = tests.failed > 0 || isBad
      else if (isRun && status !== 'running' && status !== 'pending') hasFailed = isBad && status !== undefined
      if (status === 'completed' && !isBad)
        for (const change of call.changes) {
          const file = relativeTo(session.directory, change.file)
          sum.edits.push({ file, part: part.id, change })
        }
    }
    if (info.error && !isStop(info.error)) sum.errors.push(`error-${message.id}`)
  }
  const last = answers.at(-1)?.info
  return { ...sum, ...changed(prompt, sum.edits, session.directory), outcome: outcomeOf(last, hasFailed, isLast) }
}

const isStop = (error) => record(error).name === 'MessageAbortedError'

function outcomeOf(last, hasFailed, isLast) {
  if (!last) return isLast ? 'running' : 'stopped'
  if (last.error) return isStop(last.error) ? 'stopped' : 'failed'
  if (isLast && !isOver(last)) return 'running'
  return hasFailed ? 'failed' : 'done'
}

/** How much a turn changed: by its own word, or else by its edits. */
function changed(prompt, edits, directory) {
  const diffs = turnDiffs(prompt, directory)
  const files = new Set((diffs.length ? diffs : edits).map(({ file }) => file))
  const counts = diffs.length ? diffs.map(({ counts }) => counts) : edits.map(({ change }) => change.counts)
  const sum = (side) => counts.reduce((sum, counts) => sum + (counts?.[side] ?? 0), 0)
  return { files: [...files], added: sum('added'), removed: sum('removed') }
}

/** What a client noted that a turn changed. */
export function turnDiffs(prompt, directory) {
  return list(record(prompt?.info.summary).diffs)
    .filter(isRecord)
    .filter(({ patch, before, after }) => patch || before !== undefined || after !== undefined)
    .map((diff) => ({
      ...diff,
      source: diff,
      file: relativeTo(directory, text(diff.file)),
      counts: { added: number(diff.additions) ?? 0, removed: number(diff.deletions) ?? 0 },
    }))
}

function addInfo(sum, info) {
  sum.cost += number(info.cost) ?? 0
  for (const [name, count] of Object.entries(tokensOf(info.tokens))) sum.tokens[name] += count
  const { created, completed } = times(info)
  sum.started ??= created
  sum.ended = Math.max(sum.ended ?? 0, completed ?? created ?? 0) || undefined
  const model = text(info.modelID)
  if (model && !sum.models.includes(model)) sum.models.push(model)
}

const noTokens = () => ({ all: 0, input: 0, output: 0, read: 0, write: 0 })

/** The tokens of an answer: `input` without what was read from a cache or written to it, `output` with reasoning. */
export function tokensOf(tokens) {
  const { total, input, output, reasoning, cache } = record(tokens)
  const of = (value) => Math.max(0, number(value) ?? 0)
  const [read, write] = [of(record(cache).read), of(record(cache).write)]
  const parts = { input: of(input), output: of(output) + of(reasoning), read, write }
  return { ...parts, all: number(total) ?? parts.input + parts.output + read + write }
}

/** How much of what was sent to models came out of a cache, from 0 to 1; nothing when none did. */
export const cachedShare = ({ input, read, write }) => (read ? read / (input + read + write) : undefined)

function totalsOf(turns, info) {
  const { created: started, updated } = times(info)
  const totals = { cost: 0, tokens: noTokens(), started, ended: updated, errors: 0, commands: 0, models: [] }
  for (const { sum } of turns) {
    totals.cost += sum.cost
    for (const name of Object.keys(totals.tokens)) totals.tokens[name] += sum.tokens[name]
    totals.started ??= sum.started
    totals.ended = Math.max(totals.ended ?? 0, sum.ended ?? 0) || undefined
    totals.errors += sum.errors.length
    totals.commands += sum.commands
    for (const model of sum.models) if (!totals.models.includes(model)) totals.models.push(model)
  }
  totals.cost = Math.max(totals.cost, number(info?.cost) ?? 0)
  return totals
}
