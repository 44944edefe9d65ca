// When what a session holds was seen: of each message and part from when on it was there, and from when on whole. Pure,
// and as costly as sorting them.
//
// What has no time stands between its neighbours, and all stands in the order of reading. Clocks of different machines
// differ, and are set: a time far before that of what it stands behind says that its clock went back, and from there on
// all that goes by this clock is later by as much.

import { record } from '../values.js'
import { messagesOfTurn, times } from './session.js'

// All in milliseconds. So far back a time may lie without its clock having been set.
const TOLERANCE = 60_000
// What has no time, and nothing around it that has one, takes so long.
const UNTIMED = 1000
// A pause is played as one of so long.
const PAUSE = 2000
// A word is written in so long when nobody says in how long; one that took longer than the other is played as if it had
// taken so long.
const WORD = 50
const SLOW_WORD = 200
// Characters of a word.
const WORD_LENGTH = 6

/**
 * The schedule of a session as it is now:
 * - `begin`: when it began, in milliseconds since 1970; nothing when nobody says so. All other times are from there on
 * - `entries`: `{ message, part, start, end }` for each message (without `part`) and each part of one. It is there from
 *   `start` on, and whole from `end` on
 * - `conversations`: the turns of the session itself (`undefined`) and of its subagents, `{ id, prompt, answers }`
 * - `parts`: the entries of the parts of a message, by its id; `opened`: the subagents of parts, by their entries;
 *   `unlinked`: those that no task names, by the ids of messages
 * - `span`: when all is seen; `length`: how long it is played for
 */
export class Schedule {
  begin = undefined
  entries = []
  conversations = new Map()
  parts = new Map()
  opened = new Map()
  unlinked = new Map()
  #ofMessage = new Map()
  #isTimed = false
  // Places at which something begins or ends: when it did, and when that is played.
  #times = [0]
  #played = [0]

  constructor(session) {
    this.#converse(session)
    const first = this.entries.reduce((least, { start }) => Math.min(least, start), Infinity)
    if (this.#isTimed) this.begin = first
    for (const entry of this.entries) {
      entry.start -= first
      entry.end -= first
    }
    this.#play()
    this.span = this.#times.at(-1)
    this.length = this.#played.at(-1)
  }

  /** Takes in a conversation that goes on between two times; a subagent's when one is named. */
  #converse(session, subagent, from, until) {
    const turns = session.turns(subagent)
    this.conversations.set(subagent, turns)
    const isStray = ({ id }) => id === undefined
    for (const some of [turns.filter((turn) => !isStray(turn)), turns.filter(isStray)]) {
      const steps = some.flatMap((turn) => this.#steps(session, turn))
      this.#isTimed ||= steps.some(({ start }) => start !== undefined)
      readClock(steps, from)
      fill(steps, from, until)
      for (const turn of some) this.#close(turn)
    }
    for (const message of turns.flatMap(messagesOfTurn)) {
      for (const entry of this.parts.get(message.id)) {
        const inner = session.subagentOf(message, entry.part)
        if (inner === undefined) continue
        this.opened.set(entry, inner)
        this.#converse(session, inner, entry.start, entry.end > entry.start ? entry.end : undefined)
      }
      const inner = session.unlinkedAt(message)
      this.unlinked.set(message.id, inner)
      for (const subagent of inner) this.#converse(session, subagent, this.entryOf(message).start)
    }
  }

  /** What comes one after the other in a turn, `{ start, end, made }`, with the times that it says itself. */
  #steps(session, turn) {
    const { prompt } = turn
    const steps = []
    for (const message of messagesOfTurn(turn)) {
      const entry = this.#add({ message })
      const parts = session.partsOf(message).map((part) => this.#add({ message, part }))
      this.parts.set(message.id, parts)
      const { created, completed } = times(message.info)
      if (message === prompt) {
        steps.push({ made: [entry, ...parts], start: created, isPrompt: true })
        continue
      }
      const timed = parts.map((entry) => ({ made: [entry], ...spanOf(entry.part), natural: naturalOf(entry.part) }))
      steps.push({ made: [entry], start: created ?? timed.find(({ start }) => start !== undefined)?.start, natural: 0 })
      steps.push(...timed)
      if (completed !== undefined) steps.push({ made: [], start: completed, closes: entry })
    }
    return steps
  }

  #add(entry) {
    this.entries.push(entry)
    if (!entry.part) this.#ofMessage.set(entry.message.id, entry)
    return entry
  }

  /** The entry of a message. */
  entryOf({ id }) {
    return this.#ofMessage.get(id)
  }

  /** An answer is whole when its parts are; a prompt, on which is noted what it led to, when its answers are. */
  #close({ prompt, answers }) {
    let last = -Infinity
    for (const message of answers) {
      const entry = this.entryOf(message)
      entry.end = this.parts.get(message.id).reduce((latest, { end }) => Math.max(latest, end), entry.end)
      last = Math.max(last, entry.end)
    }
    if (prompt?.info.summary) this.entryOf(prompt).end = Math.max(this.entryOf(prompt).end, last)
  }

  /** Finds when each time is played: what pauses are, and what is slow, is cut short. */
  #play() {
    // Words a millisecond, which what is being written gives or takes.
    const changes = this.entries.flatMap(({ part, start, end }) => {
      const rate = part && end > start ? wordsOf(part) / (end - start) : 0
      return [
        { at: start, rate },
        { at: end, rate: -rate },
      ]
    })
    changes.sort((one, other) => one.at - other.at)
    let [rate, writers] = [0, 0]
    for (const { at, rate: change } of changes) {
      const gap = at - this.#times.at(-1)
      if (gap > 0) {
        this.#times.push(at)
        this.#played.push(this.#played.at(-1) + Math.min(gap, PAUSE + rate * gap * SLOW_WORD))
      }
      writers += Math.sign(change)
      rate = writers ? Math.max(0, rate + change) : 0
    }
  }

  /** What is marked: the prompts, `{ time, turn }`, and what failed, with `isError`; in the order of their times. */
  marks(turns) {
    const ofPart = new Map(this.entries.map((entry) => [entry.part?.id, entry]))
    const marks = []
    for (const turn of turns) {
      const entry = this.#ofMessage.get(turn.id)
      if (!entry) continue
      marks.push({ time: entry.start, turn })
      for (const id of turn.sum.errors) {
        const failed = ofPart.get(id) ?? this.#ofMessage.get(id.replace(/^error-/, ''))
        if (failed) marks.push({ time: failed.end, turn, isError: true })
      }
    }
    return marks.sort((one, other) => one.time - other.time)
  }

  /** When what was seen at a time is played. */
  playedAt(time) {
    return between(this.#times, this.#played, time)
  }

  /** What time is seen when so much was played. */
  timeAt(played) {
    return between(this.#played, this.#times, played)
  }
}

/** The place in one row of numbers that a number has in another; both ascend. */
function between(from, to, value) {
  if (!(value > 0)) return 0
  const at = firstAbove(from, value, (number) => number)
  if (at === from.length) return to.at(-1)
  const share = (value - from[at - 1]) / (from[at] - from[at - 1])
  return to[at - 1] + share * (to[at] - to[at - 1])
}

/** The place of the first thing in an ascending row whose number is above one. */
export function firstAbove(row, number, numberOf) {
  let [low, high] = [0, row.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (numberOf(row[middle]) > number) high = middle
    else low = middle + 1
  }
  return low
}

/** The times of a part that it says itself. A call that is not done, or does not say when, is as it is. */
function spanOf(part) {
  const { start, end } = times(part.type === 'tool' ? part.state : part)
  return { start: start ?? end, end }
}

/** Words that a part is written in; none when it comes as a whole. */
function wordsOf({ type, text }) {
  return (type === 'text' || type === 'reasoning') && typeof text === 'string'
    ? Math.ceil(text.length / WORD_LENGTH)
    : 0
}

/** How long a part takes when it does not say so. */
function naturalOf(part) {
  const { status } = record(part.state)
  const isCall = part.type === 'tool' && (status === 'completed' || status === 'error')
  return isCall ? PAUSE : wordsOf(part) * WORD
}

/**
 * Makes times that clocks said ones that follow each other. One that fits to neither of its neighbours, which fit to
 * each other, is none.
 */
function readClock(steps, from) {
  const timed = steps.filter(({ start }) => start !== undefined)
  // How much later it is than the clocks say: that of prompts, and that of answers.
  const shifts = new Map([true, false].map((isPrompt) => [isPrompt, 0]))
  const read = ({ start, isPrompt = false }) => start + shifts.get(isPrompt)
  let last = from
  for (const [at, step] of timed.entries()) {
    const { isPrompt = false } = step
    const start = read(step)
    const next = at + 1 < timed.length ? read(timed[at + 1]) : NaN
    const isBack = start < last - TOLERANCE
    if ((isBack || start > next + TOLERANCE) && next >= last - TOLERANCE) {
      step.start = step.end = undefined
      continue
    }
    if (isBack) shifts.set(isPrompt, shifts.get(isPrompt) + last - start)
    const shift = shifts.get(isPrompt)
    last = Math.max(last ?? -Infinity, step.start + shift)
    if (step.end !== undefined) step.end = Math.max(last, step.end + shift)
    step.start = last
  }
}

/** Gives times to what has none, and all of them to their entries. */
function fill(steps, from, until) {
  let before = from
  for (let at = 0; at < steps.length;) {
    let next = at
    while (next < steps.length && steps[next].start === undefined) next += 1
    const after = steps[next]?.start ?? until
    const count = next - at
    const begin = Math.min(before ?? (after ?? 0) - count * UNTIMED, after ?? Infinity)
    const each = after === undefined ? UNTIMED : Math.max(0, after - begin) / Math.max(1, count)
    for (; at < next; at += 1) {
      const start = begin + (at - next + count) * each
      settle(steps[at], start, start + Math.min(each, steps[at].natural ?? 0))
    }
    before = count ? begin + count * each : before
    if (at === steps.length) break
    const { start, end, natural = 0 } = steps[at]
    const room = Math.max(0, (steps[at + 1]?.start ?? until ?? Infinity) - start)
    settle(steps[at], start, end ?? start + Math.min(room, natural))
    before = Math.max(before ?? start, steps[at].until)
    at += 1
  }
}

function settle(step, start, end) {
  step.until = end
  for (const entry of step.made) Object.assign(entry, { start, end })
  if (step.closes) step.closes.end = Math.max(step.closes.end, start)
}
