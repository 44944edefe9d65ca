// The session as this page knows it: items out of frames, put in order. Knows no page and no network.

export class Session {
  constructor() {
    this.epoch = ''
    this.seq = 0
    this.clear()
  }

  clear() {
    this.info = undefined
    this.models = []
    this.diffs = undefined
    this.messages = new Map()
    this.#order = undefined
  }

  #order

  /**
   * Takes a frame in. Tells which messages are different now, and which of their parts are new; `lost` says that the frame
   * does not fit what is held, and that everything has to be loaded anew.
   */
  apply(frame) {
    const change = { reset: false, info: false, messages: new Set(), added: 0, lost: false }
    if (frame.epoch !== this.epoch) {
      change.reset = this.seq > 0
      this.clear()
      this.epoch = frame.epoch
    }
    for (const { key, data, append } of frame.items) {
      const whole = append ? this.#appended(key, append) : data
      if (whole === undefined) change.lost = true
      else this.#put(key, whole, change)
    }
    for (const key of frame.removed) this.#remove(key, change)
    this.seq = frame.seq
    if (change.lost) this.epoch = ''
    return change
  }

  /** An item with what was added to it; nothing when it is not the one that this was added to. */
  #appended(key, { path, at, text }) {
    const [kind, id, part] = split(key)
    const data = kind === 'part' ? this.messages.get(id)?.parts.get(part) : kind === 'message' ? this.messages.get(id)?.info : undefined
    const field = path.slice(1)
    return data?.[field]?.length === at ? { ...data, [field]: data[field] + text } : undefined
  }

  #put(key, data, change) {
    const [kind, id, part] = split(key)
    if (kind === 'session') {
      this.info = data
      change.info = true
    } else if (kind === 'message') {
      const message = this.#message(id)
      if (message.info?.time?.created !== data.time?.created || !message.info) this.#order = undefined
      message.info = data
      change.messages.add(id)
    } else if (kind === 'part') {
      const message = this.#message(id)
      if (!message.parts.has(part)) change.added += 1
      message.parts.set(part, data)
      message.sorted = undefined
      change.messages.add(id)
    } else if (kind === 'session_diff') {
      this.diffs = data
      change.info = true
    } else if (kind === 'model') {
      this.models = data
      change.info = true
    }
  }

  #remove(key, change) {
    const [kind, id, part] = split(key)
    if (kind === 'message' && this.messages.has(id)) {
      this.messages.get(id).info = undefined
      if (!this.messages.get(id).parts.size) this.messages.delete(id)
      this.#order = undefined
      change.messages.add(id)
    } else if (kind === 'part' && this.messages.has(id)) {
      const message = this.messages.get(id)
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

  /** The messages that are shown, by time and id. One whose own item has not come yet waits for it. */
  ordered() {
    this.#order ??= [...this.messages.values()]
      .filter(({ info }) => info)
      .sort((one, other) => (one.info.time?.created ?? 0) - (other.info.time?.created ?? 0) || compare(one.id, other.id))
    const undone = this.info?.revert
    return undone ? this.#order.filter(({ id }) => id < undone.messageID || (undone.partID && id === undone.messageID)) : this.#order
  }

  /** How many messages an undo has hidden. */
  undone() {
    return this.info?.revert ? (this.#order?.length ?? 0) - this.ordered().length : 0
  }

  /** A message's parts by id, without those that an undo took back. */
  partsOf(message) {
    message.sorted ??= [...message.parts.entries()].sort(([one], [other]) => compare(one, other)).map(([, part]) => part)
    const undone = this.info?.revert
    if (undone?.partID && undone.messageID === message.id) return message.sorted.filter(({ id }) => id < undone.partID)
    return message.sorted
  }

  /** The session as turns: a prompt, and the answers until the next one. */
  turns() {
    const turns = []
    for (const message of this.ordered()) {
      if (message.info.role === 'user' || !turns.length) {
        turns.push({ id: message.id, prompt: message.info.role === 'user' ? message : undefined, answers: message.info.role === 'user' ? [] : [message] })
      } else {
        turns.at(-1).answers.push(message)
      }
    }
    return turns
  }

  /** What the session cost so far: from its own total, or from its answers. */
  totals() {
    const totals = { cost: 0, tokens: 0, started: this.info?.time?.created, ended: this.info?.time?.updated }
    for (const { info } of this.ordered()) {
      if (info.role !== 'assistant') continue
      totals.cost += info.cost ?? 0
      totals.tokens += tokenCount(info.tokens)
      totals.ended = Math.max(totals.ended ?? 0, info.time?.completed ?? info.time?.created ?? 0)
    }
    totals.cost = Math.max(totals.cost, this.info?.cost ?? 0)
    return totals
  }
}

/** All tokens of an answer, read and written. */
export function tokenCount(tokens) {
  if (!tokens) return 0
  return tokens.total ?? (tokens.input ?? 0) + (tokens.output ?? 0) + (tokens.reasoning ?? 0) + (tokens.cache?.read ?? 0) + (tokens.cache?.write ?? 0)
}

/** The text of a prompt, without what its client added. */
export function promptText(parts) {
  return parts
    .filter(({ type, synthetic, ignored }) => type === 'text' && !synthetic && !ignored)
    .map(({ text }) => text)
    .join('\n\n')
}

function split(key) {
  const first = key.indexOf('/')
  if (first < 0) return [key]
  const kind = key.slice(0, first)
  if (kind !== 'part') return [kind, key.slice(first + 1)]
  const second = key.indexOf('/', first + 1)
  return [kind, key.slice(first + 1, second), key.slice(second + 1)]
}

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0)
