// A session as it was seen at a time: what there was by then, and of what was under way so much as there was of it. It
// is asked as a session is (session.js), so that what shows that one shows this one too. Pure.

import { record } from '../values.js'
import { firstAbove } from './schedule.js'
import { isOver, messagesOfTurn } from './session.js'

// Characters at the most behind which a text that is being written is cut, to end with a word.
const MAX_WORD = 40

// Turns that are shown at once when more have come, the last of them; and so many more each time that it is asked.
const AT_ONCE = 8

export class SeenSession {
  /** Another number whenever its turns may be others. */
  shape = 0
  /** Nothing of it is yet to come. */
  isWhole = true
  #schedule
  #session
  #time = -1
  // All entries, by when they begin and by when they are whole.
  #starts
  #ends
  // What is under way.
  #open = new Set()
  // So many of the first turns are empty, until there is time for them.
  #left = 0
  #count = 0

  constructor(session, schedule) {
    this.#session = session
    this.#schedule = schedule
    this.#starts = schedule.entries.toSorted((one, other) => one.start - other.start)
    this.#ends = schedule.entries.toSorted((one, other) => one.end - other.end)
  }

  get info() {
    return this.#session.info
  }

  get directory() {
    return this.#session.directory
  }

  /** Goes to a time of the schedule. Gives the ids of the messages that are different then. */
  seek(time) {
    const low = Math.min(this.#time, time)
    const high = Math.max(this.#time, time)
    const crossed = new Set([
      ...between(this.#starts, low, high, ({ start }) => start),
      ...between(this.#ends, low, high, ({ end }) => end),
    ])
    const changed = new Set([...this.#open, ...crossed].map(({ message }) => message.id))
    this.#time = time
    for (const entry of crossed) {
      if (entry.start <= time && time < entry.end) this.#open.add(entry)
      else this.#open.delete(entry)
      if (!entry.part) this.shape += 1
    }
    const count = this.#begunTurns().length
    if (count - this.#count > AT_ONCE) this.#left = count - AT_ONCE
    this.#left = Math.max(0, Math.min(this.#left, count - AT_ONCE))
    this.#count = count
    return changed
  }

  /** Shows more of the turns that a seek has left empty, the last of them first; `false` when there are none. */
  fill() {
    if (!this.#left) return false
    this.#left = Math.max(0, this.#left - AT_ONCE)
    this.shape += 1
    return true
  }

  #isThere(message) {
    return this.#schedule.entryOf(message).start <= this.#time
  }

  /** The turns that have begun, as they are in the end. */
  #begunTurns(subagent) {
    const turns = this.#schedule.conversations.get(subagent)
    return turns.filter((turn) => this.#isThere(messagesOfTurn(turn)[0]))
  }

  #message(message) {
    const entry = this.#schedule.entryOf(message)
    if (entry.end <= this.#time) return entry.message
    entry.open ??= { ...entry.message, info: begun(entry.message.info) }
    return entry.open
  }

  /** The turns of the session, or of one of its subagents. */
  turns(subagent) {
    return this.#begunTurns(subagent).map(({ id, prompt, answers }, at) => {
      if (subagent === undefined && at < this.#left) return { id, prompt: undefined, answers: [] }
      const seen = answers.filter((message) => this.#isThere(message)).map((message) => this.#message(message))
      return { id, prompt: prompt && this.#message(prompt), answers: seen }
    })
  }

  /** A message's parts. */
  partsOf({ id }) {
    return this.#entriesOf(id).map((entry) => (entry.end <= this.#time ? entry.part : this.#begun(entry)))
  }

  #entriesOf(message) {
    return this.#schedule.parts.get(message).filter(({ start }) => start <= this.#time)
  }

  /** So much of a part as there is: the same object as before when it is the same. */
  #begun(entry) {
    const { part, start, end } = entry
    if (typeof part.text !== 'string' || part.type === 'tool') return (entry.open ??= calling(part))
    const length = lengthAt(part.text, (this.#time - start) / (end - start))
    if (entry.open?.text.length !== length)
      entry.open = { ...part, text: part.text.slice(0, length), time: { start: record(part.time).start } }
    return entry.open
  }

  /** The subagent that works on a part of a message, once it has begun. */
  subagentOf({ id }, { id: part }) {
    const entry = this.#schedule.parts.get(id).find((entry) => entry.part.id === part)
    const subagent = this.#schedule.opened.get(entry)
    return subagent !== undefined && this.#hasBegun(subagent) ? subagent : undefined
  }

  #hasBegun(subagent) {
    return this.#begunTurns(subagent).length > 0
  }

  /** The subagents that no task names, and that were there after a message. */
  unlinkedAt({ id }) {
    return this.#schedule.unlinked.get(id).filter((subagent) => this.#hasBegun(subagent))
  }

  /** These messages, each followed by those of the subagents that are shown with it. */
  withSubagents(messages) {
    return messages.flatMap((message) => {
      const opened = this.#entriesOf(message.id).flatMap((entry) => this.#schedule.opened.get(entry) ?? [])
      const subagents = [...opened, ...this.#schedule.unlinked.get(message.id)]
      return [message, ...subagents.flatMap((subagent) => this.stepsOf(subagent))]
    })
  }

  /** The messages of a subagent, each followed by those of the subagents that it has itself. */
  stepsOf(subagent) {
    return this.withSubagents(this.turns(subagent).flatMap(messagesOfTurn))
  }

  /** Whether a subagent has come to its end. */
  isOver(subagent) {
    const { prompt, answers } = this.turns(subagent).at(-1) ?? {}
    const last = answers?.at(-1) ?? prompt
    return Boolean(last && isOver(last.info))
  }

  /** The subagents in which what has this id stands, the outermost first. */
  subagentsAround(id) {
    return this.#session.subagentsAround(id)
  }
}

/** Those of an ascending row whose number lies above one, and not above another. */
const between = (row, low, high, numberOf) => row.slice(firstAbove(row, low, numberOf), firstAbove(row, high, numberOf))

/** What is known of a message while it is under way. */
function begun({ error: _, cost: __, tokens: ___, summary: ____, ...info }) {
  return { ...info, time: { created: record(info.time).created } }
}

/** A call that is under way. Of a part of another kind there is nothing before it is whole. */
function calling(part) {
  if (part.type !== 'tool') return part
  const { input, time } = record(part.state)
  return { ...part, state: { status: 'running', input, time: { start: record(time).start } } }
}

/** How long the part of a text is that ends with a word, by the share of it that is written. */
function lengthAt(text, share) {
  const least = Math.floor(text.length * share)
  const next = text.slice(least, least + MAX_WORD).search(/\s/)
  const length = next < 0 ? Math.min(least + MAX_WORD, text.length) : least + next
  const code = text.charCodeAt(length)
  return code >= 0xdc00 && code <= 0xdfff ? length - 1 : length
}
