// The session as this page knows it: items out of frames, put in order. Knows no page and no network.

import { isRecord, list, moment, number, record, text } from '../values.js'

/** The items of one epoch, as they were stored at a position. */
class Items {
  epoch = ''
  seq = 0
  // Whether this is a state that was stored: the last frame said that there is no more. While it says that there is,
  // items that have changed since are left out of what came, so an append may be to a version that is not here.
  whole = false
  info = undefined
  models = []
  diffs = undefined
  messages = new Map()
  order = undefined

  /** Takes in a frame of this epoch, all of it or nothing: `false` when it does not fit what is held. */
  take({ seq, items, removed, more }, change) {
    if (seq < this.seq) return false
    const whole = items.map(({ key, data, append }) => [key, append ? this.#appended(key, append) : data])
    if (whole.some(([, data]) => data === undefined)) return false
    for (const [key, data] of whole) this.#put(key, data, change)
    for (const key of removed) this.#remove(key, change)
    this.seq = seq
    this.whole = !more
    return true
  }

  /** An item with what was added to it; nothing when it is not, or may not be, the one that this was added to. */
  #appended(key, { path, at, text }) {
    if (!this.whole) return undefined
    const [kind, id, part] = split(key)
    const message = this.messages.get(id)
    const data = kind === 'part' ? message?.parts.get(part) : kind === 'message' ? message?.info : undefined
    const field = path.slice(1)
    if (!data || !Object.hasOwn(data, field)) return undefined
    const before = data[field]
    return typeof before === 'string' && before.length === at ? { ...data, [field]: before + text } : undefined
  }

  #put(key, data, change) {
    const [kind, id, part] = split(key)
    if (kind === 'session') {
      this.info = record(data)
      change.info = true
    } else if (kind === 'message') {
      const message = this.#message(id)
      if (!message.info || created(message.info) !== created(data)) this.order = undefined
      message.info = record(data)
      change.messages.add(id)
    } else if (kind === 'part') {
      const message = this.#message(id)
      if (!message.parts.has(part)) change.added += 1
      message.parts.set(part, record(data))
      message.sorted = undefined
      change.messages.add(id)
    } else if (kind === 'session_diff') {
      this.diffs = list(data)
      change.info = true
    } else if (kind === 'model') {
      this.models = list(data).filter(isRecord)
      change.info = true
    }
  }

  #remove(key, change) {
    const [kind, id, part] = split(key)
    const message = this.messages.get(id)
    if (kind === 'message' && message) {
      message.info = undefined
      if (!message.parts.size) this.messages.delete(id)
      this.order = undefined
      change.messages.add(id)
    } else if (kind === 'part' && message) {
      message.parts.delete(part)
      message.sorted = undefined
      if (!message.info && !message.parts.size) this.messages.delete(id)
      change.messages.add(id)
    } else if (kind === 'session_diff') {
      this.diffs = undefined
      change.info = true
    }
  }

  #message(id) {
    let message = this.messages.get(id)
    if (!message) {
      message = { id, info: undefined, parts: new Map(), sorted: undefined }
      this.messages.set(id, message)
    }
    return message
  }
}

export class Session {
  #shown = new Items()
  // What is loaded anew. It takes the place of what is shown once all of it is there.
  #coming

  /** The position to go on from, `{ epoch, seq }`; nothing when all has to come. */
  get position() {
    const { epoch, seq } = this.#coming ?? this.#shown
    return epoch ? { epoch, seq } : undefined
  }

  /** The session's own item. */
  get info() {
    return this.#shown.info
  }

  get models() {
    return this.#shown.models
  }

  /** What the session says that it changed in its files; nothing when it does not say. */
  get diffs() {
    return this.#shown.diffs
  }

  /** Whether there is nothing in it. */
  get empty() {
    return this.#shown.messages.size === 0
  }

  /**
   * Takes a frame in. Tells which messages are different now, or that all may be (`all`), and how many parts are new.
   * `lost` says that the frame does not fit what is held: everything has to be loaded anew then, and is shown as it
   * is until that is done.
   */
  apply(frame) {
    const change = { all: false, info: false, messages: new Set(), added: 0, lost: false }
    let items = this.#coming ?? this.#shown
    if (items.epoch !== frame.epoch) {
      if (items.epoch) items = this.#coming = new Items()
      items.epoch = frame.epoch
    }
    if (!items.take(frame, change)) {
      this.#coming = new Items()
      return { ...change, lost: true }
    }
    if (items === this.#shown) return change
    if (frame.more) return { ...change, info: false, messages: new Set(), added: 0 }
    const added = partsBeyond(items, this.#shown)
    this.#shown = items
    this.#coming = undefined
    return { ...change, all: true, info: true, added }
  }

  /** The messages that are shown, by time and id. One whose own item has not come yet waits for it. */
  ordered() {
    this.#shown.order ??= [...this.#shown.messages.values()]
      .filter(({ info }) => info)
      .sort((one, other) => created(one.info) - created(other.info) || compare(one.id, other.id))
    const undone = this.#undone()
    return undone
      ? this.#shown.order.filter(({ id }) => id < undone.messageID || (undone.partID && id === undone.messageID))
      : this.#shown.order
  }

  /** How many messages an undo has hidden. */
  undone() {
    return this.#undone() ? (this.#shown.order?.length ?? 0) - this.ordered().length : 0
  }

  /** What was undone: everything from a message on, or from a part of it. */
  #undone() {
    const { messageID, partID } = record(this.info?.revert)
    return typeof messageID === 'string'
      ? { messageID, partID: typeof partID === 'string' ? partID : undefined }
      : undefined
  }

  /** A message's parts by id, without those that an undo took back. */
  partsOf(message) {
    message.sorted ??= [...message.parts.entries()]
      .sort(([one], [other]) => compare(one, other))
      .map(([, part]) => part)
    const undone = this.#undone()
    if (undone?.partID && undone.messageID === message.id) return message.sorted.filter(({ id }) => id < undone.partID)
    return message.sorted
  }

  /** The session as turns: a prompt, and the answers until the next one. */
  turns() {
    const turns = []
    for (const message of this.ordered()) {
      if (message.info.role === 'user' || !turns.length) {
        turns.push({
          id: message.id,
          prompt: message.info.role === 'user' ? message : undefined,
          answers: message.info.role === 'user' ? [] : [message],
        })
      } else {
        turns.at(-1).answers.push(message)
      }
    }
    return turns
  }

  /** What the session cost so far: from its own total, or from its answers. */
  totals() {
    const { created: started, updated: ended } = times(this.info)
    const totals = { cost: 0, tokens: 0, started, ended }
    for (const { info } of this.ordered()) {
      if (info.role !== 'assistant') continue
      totals.cost += number(info.cost) ?? 0
      totals.tokens += tokenCount(info.tokens)
      const { created, completed } = times(info)
      totals.ended = Math.max(totals.ended ?? 0, completed ?? created ?? 0)
    }
    totals.cost = Math.max(totals.cost, number(this.info?.cost) ?? 0)
    return totals
  }
}

/** The times of a session, a message or a part, in milliseconds since 1970, those that it has. */
export function times(item) {
  const { created, updated, completed, start, end } = record(item?.time)
  return {
    created: moment(created),
    updated: moment(updated),
    completed: moment(completed),
    start: moment(start),
    end: moment(end),
  }
}

/** All tokens of an answer, read and written. */
export function tokenCount(tokens) {
  const { total, input, output, reasoning, cache } = record(tokens)
  const { read, write } = record(cache)
  return number(total) ?? [input, output, reasoning, read, write].reduce((sum, count) => sum + (number(count) ?? 0), 0)
}

/** The text of a prompt, without what its client added. */
export function promptText(parts) {
  return parts
    .filter(({ type, synthetic, ignored }) => type === 'text' && !synthetic && !ignored)
    .map((part) => text(part.text))
    .join('\n\n')
}

function partsBeyond(newer, older) {
  let count = 0
  for (const [id, { parts }] of newer.messages) {
    const known = older.messages.get(id)?.parts
    for (const part of parts.keys()) if (!known?.has(part)) count += 1
  }
  return count
}

// What counts for the order is a number alone, as on the server.
const created = (info) => number(record(info?.time).created) ?? 0

function split(key) {
  const first = key.indexOf('/')
  if (first < 0) return [key]
  const kind = key.slice(0, first)
  if (kind !== 'part') return [kind, key.slice(first + 1)]
  const second = key.indexOf('/', first + 1)
  return [kind, key.slice(first + 1, second), key.slice(second + 1)]
}

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0)
