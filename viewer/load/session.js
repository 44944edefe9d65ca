// The session as this page knows it: items out of frames, put in order. Knows no page and no network.

import { Hidden } from '../secrets.js'
import { isRecord, list, moment, record, text } from '../values.js'
import { messagesOf } from './messages.js'
import { messagesLeft, partOrder, partsLeft, readingOrder, standing } from './order.js'
import { divide, opens, sessionOf } from './subagents.js'

// What an agent can do, in one word.
const STATES = new Set(['busy', 'idle', 'waiting', 'gone'])

let shapes = 0

/** What of a session's own item all its turns hang on. */
function placing(info) {
  const { id, revert, directory, location } = record(info)
  return JSON.stringify([id, revert, directory, location])
}

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
  // What the agent says that it does, and who it is.
  status = undefined
  agent = undefined
  messages = new Map()
  // What was hidden in them.
  hidden = new Hidden()
  // Lists of messages as OpenCode's second API has them, `{ session, messages }` by their keys.
  lists = new Map()
  // The messages in reading order, divided into the session's own and its subagents'.
  #divided = undefined
  // Another number whenever it may be other messages, in another order, or of another session.
  shape = (shapes += 1)
  // The session that the own messages name, as it was last known.
  #home = undefined
  // The last place that an item has.
  #last = 0

  /** Takes in a frame of this epoch, all of it or nothing: `false` when it does not fit what is held. */
  take({ from, seq, items, removed, more }, change) {
    if (seq < this.seq) return false
    // An append was made from the state of a position, and fits no other.
    const isBase = this.whole && (from === undefined || from === this.seq)
    const whole = []
    for (const { key, data, append, n } of items) {
      const item = append ? isBase && this.#appended(key, append) : { key, data, n }
      if (!item) return false
      whole.push(item)
    }
    for (const item of whole) this.#put(item, change)
    for (const key of removed) this.#remove(key, change)
    this.seq = seq
    // Until all is there nobody knows which parts are without their message.
    if (this.whole === Boolean(more)) this.#reshape()
    this.whole = !more
    return true
  }

  /** An item with what was added to it; nothing when it is not the one that this was added to. */
  #appended(key, { path, at, text }) {
    const [kind, id, part] = split(key)
    const message = this.messages.get(id)
    const data = kind === 'part' ? message?.parts.get(part)?.data : kind === 'message' ? message?.info : undefined
    const field = path.slice(1)
    if (!data || !Object.hasOwn(data, field)) return undefined
    const before = data[field]
    if (typeof before !== 'string' || before.length !== at) return undefined
    return { key, data: { ...data, [field]: before + text }, added: { before, text } }
  }

  #put({ key, data, n, added }, change) {
    if (added) this.hidden.append(key, added.before, added.text)
    else this.hidden.put(key, data)
    const [kind, id, part] = split(key)
    if (kind === 'session') {
      // Whose messages are shown hangs on it, what an undo took back, and how files are named.
      if (placing(data) !== placing(this.info)) {
        this.#reshape()
        change.all = true
      }
      this.info = record(data)
      change.info = true
    } else if (kind === 'message') {
      const message = this.#message(id)
      const place = this.#came(n ?? (message.info && message.n))
      this.#place(message, { n: place, ...standing(data), session: sessionOf(data) }, message.info)
      message.info = record(data)
      change.messages.add(id)
    } else if (kind === 'part') {
      const message = this.#message(id)
      const known = message.parts.get(part)
      if (!known && !this.#isOfSubagent(sessionOf(data))) change.added += 1
      const opened = opens(data)
      if (opened !== known?.opens) this.#reshape()
      message.parts.set(part, { id: part, n: this.#came(n ?? known?.n), data: record(data), opens: opened })
      message.sorted = message.tasks = undefined
      change.messages.add(id)
    } else if (kind === 'messages') {
      this.#putList(key, record(data), change)
      this.#came(n)
    } else if (kind === 'session_diff') {
      this.diffs = list(data)
      change.info = true
    } else if (kind === 'model') {
      this.models = list(data).filter(isRecord)
      change.info = true
    } else if (key === 'status' || key === 'agent') {
      this[key] = record(data)
      change.info = true
    }
  }

  /** Takes a whole list in. What of it is as it was stays what it was, so that nothing is made anew for it. */
  #putList(key, { sessionID, messages }, change) {
    const older = this.lists.get(key)?.messages ?? new Map()
    const newer = new Map()
    for (const { id, info, parts } of messagesOf(messages)) {
      if (newer.has(id)) continue
      const known = older.get(id)
      const source = JSON.stringify([info, parts])
      const message = known?.source === source ? known : { id, source, info, parts: this.#partsOf(parts, known?.parts) }
      newer.set(id, message)
      if (message === known) continue
      change.messages.add(id)
      for (const part of message.parts.keys()) if (!known?.parts.has(part)) change.added += 1
    }
    for (const id of older.keys()) if (!newer.has(id)) change.messages.add(id)
    this.lists.set(key, { session: sessionID, messages: newer })
    this.#reshape()
  }

  #partsOf(parts, known) {
    const kept = (data) => {
      const before = known?.get(data.id)?.data
      return before && JSON.stringify(before) === JSON.stringify(data) ? before : data
    }
    return new Map(parts.map((data, n) => [data.id, { id: data.id, n, data: kept(data) }]))
  }

  /** The place of an item by when it first came: as it is told, or behind all others. */
  #came(n = this.#last + 1) {
    this.#last = Math.max(this.#last, n)
    return n
  }

  /** Notes what says where a message stands. The order is made anew when that is something else than before. */
  #place(message, place, wasThere) {
    if (!wasThere || Object.entries(place).some(([name, value]) => message[name] !== value)) this.#reshape()
    Object.assign(message, place)
  }

  #remove(key, change) {
    this.hidden.remove(key)
    const [kind, id, part] = split(key)
    const message = this.messages.get(id)
    if (kind === 'message' && message) {
      message.info = undefined
      if (!message.parts.size) this.messages.delete(id)
      this.#reshape()
      change.messages.add(id)
    } else if (kind === 'part' && message) {
      if (message.parts.get(part)?.opens) this.#reshape()
      message.parts.delete(part)
      message.sorted = message.tasks = undefined
      if (!message.info && !message.parts.size) {
        this.messages.delete(id)
        this.#reshape()
      }
      change.messages.add(id)
    } else if (kind === 'messages') {
      for (const id of this.lists.get(key)?.messages.keys() ?? []) change.messages.add(id)
      this.lists.delete(key)
      this.#reshape()
    } else if (kind === 'session_diff') {
      this.diffs = undefined
      change.info = true
    } else if (kind === 'session') {
      change.all = true
      this.info = undefined
      this.#reshape()
      change.info = true
    } else if (kind === 'model') {
      this.models = []
      change.info = true
    } else if (key === 'status' || key === 'agent') {
      this[key] = undefined
      change.info = true
    }
  }

  /** Whose messages these are, and in which order, has to be found anew. */
  #reshape() {
    this.#divided = undefined
    this.shape = shapes += 1
  }

  #message(id) {
    let message = this.messages.get(id)
    if (!message) {
      this.#reshape()
      message = { id, n: 0, info: undefined, parts: new Map(), sorted: undefined }
      this.messages.set(id, message)
    }
    return message
  }

  /** The messages of the session itself that are there, in reading order. */
  get ordered() {
    return this.#division.own
  }

  /** The messages of a subagent, in reading order. */
  messagesOf(subagent) {
    return this.#division.subagents.get(subagent)?.messages ?? []
  }

  /** The subagents whose place is a message: `tasks`, by the parts that opened them, and those that no task names. */
  subagentsAt({ id }) {
    return this.#division.places.get(id)
  }

  /** The subagents, each with its messages and its place. */
  get subagents() {
    return this.#division.subagents
  }

  get #division() {
    this.#divided ??= this.#divide()
    return this.#divided
  }

  #divide() {
    const there = [...this.messages.values()].filter(({ info }) => info)
    const { home, own, subagents } = divide(this.info?.id, readingOrder(there), tasksOf)
    this.#home = home
    const places = new Map()
    for (const { session, task, after } of subagents.values()) {
      const { id } = task?.message ?? after
      if (!places.has(id)) places.set(id, { tasks: new Map(), unlinked: [] })
      if (task) places.get(id).tasks.set(task.part, session)
      else places.get(id).unlinked.push(session)
    }
    return { own: [...own, ...this.#listed()], subagents, places }
  }

  /** Whether what is of a session is a subagent's, as far as is known by now. */
  #isOfSubagent(session) {
    return session !== undefined && this.#home !== undefined && session !== this.#home
  }

  /** The messages of lists, each id once: of the session's own, or of all while nobody knows which are its own. */
  #listed() {
    const { id } = this.info ?? {}
    const lists = [...this.lists].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, held]) => held)
    const own = lists.filter(({ session }) => session === id)
    const messages = (own.length ? own : lists).flatMap((held) => [...held.messages.values()])
    const once = new Map(messages.toReversed().map((message) => [message.id, message]))
    return messages.filter((message) => once.get(message.id) === message && !this.messages.get(message.id)?.info)
  }

  /** Whether there is no message and no part. */
  get empty() {
    return !this.messages.size && [...this.lists.values()].every(({ messages }) => !messages.size)
  }

  /** All parts that are held, by their messages' ids and their own, without those of subagents. */
  *parts() {
    const lists = [...this.lists.values()].map(({ messages }) => messages)
    for (const messages of [this.messages, ...lists])
      for (const [message, { session, parts }] of messages)
        if (!this.#isOfSubagent(session)) for (const part of parts.keys()) yield `${message}/${part}`
  }

  /** Messages that have parts and are not there themselves. While more is to come they may come yet. */
  get stray() {
    if (!this.whole) return []
    return partOrder([...this.messages.values()].filter(({ info }) => !info)).map((one) => ({ ...one, info: {} }))
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

  /** Another number whenever its turns may be others. */
  get shape() {
    return this.#shown.shape
  }

  /** The directory that it works in; nothing when nobody says so. */
  get directory() {
    return text(this.info?.directory ?? record(this.info?.location).directory)
  }

  get models() {
    return this.#shown.models
  }

  /** What the session says that it changed in its files; nothing when it does not say. */
  get diffs() {
    return this.#shown.diffs
  }

  /** Who works in it, by name and version; nothing when nobody says so. */
  get agent() {
    const { name, version } = record(this.#shown.agent)
    return [name, version].map(text).filter(Boolean).join(' ') || undefined
  }

  /**
   * What the agent does, `{ state, label, at }`: as it says itself, or else by the last message, whether an answer is
   * awaited. Nothing when there is none.
   */
  get activity() {
    const { state, label, at } = record(this.#shown.status)
    if (STATES.has(state)) return { state, label: text(label), at: moment(at) }
    const last = this.#shown.ordered.at(-1)?.info
    return last && { state: isOver(last) ? 'idle' : 'busy', label: '', at: undefined }
  }

  /** How many different secrets were hidden in it. */
  get secrets() {
    return this.#shown.hidden.count
  }

  /** Whether all of it has come that was there. */
  get isWhole() {
    return this.#shown.whole
  }

  /** Whether there is nothing in it. */
  get empty() {
    return this.#shown.empty
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

  /** The messages of the session itself that are shown, in reading order, without those that an undo took back. */
  ordered() {
    const { ordered } = this.#shown
    return ordered.slice(0, messagesLeft(this.info?.revert, ordered))
  }

  /** How many messages an undo has hidden. */
  undone() {
    const { ordered } = this.#shown
    return ordered.length - messagesLeft(this.info?.revert, ordered)
  }

  /** A message's parts in reading order, without those that an undo took back. */
  partsOf(message) {
    const parts = sorted(message)
    return parts.slice(0, partsLeft(this.info?.revert, message.id, parts)).map(({ data }) => data)
  }

  /** The subagent that works on a part of a message, when that is the task that opened it. */
  subagentOf(message, part) {
    return this.#shown.subagentsAt(message)?.tasks.get(part.id)
  }

  /** The subagents that no task names, and that were there after a message. */
  unlinkedAt(message) {
    return this.#shown.subagentsAt(message)?.unlinked ?? []
  }

  /** These messages, each followed by those of the subagents that are shown with it. All that is shown by default. */
  withSubagents(messages = this.ordered()) {
    if (!this.#shown.subagents.size) return messages
    return messages.flatMap((message) => {
      const at = this.#shown.subagentsAt(message)
      if (!at) return [message]
      const opened = this.partsOf(message).flatMap(({ id }) => at.tasks.get(id) ?? [])
      return [message, ...[...opened, ...at.unlinked].flatMap((subagent) => this.stepsOf(subagent))]
    })
  }

  /** The messages of a subagent, each followed by those of the subagents that it has itself. */
  stepsOf(subagent) {
    return this.withSubagents(this.#shown.messagesOf(subagent))
  }

  /** Whether a subagent has come to its end. */
  isOver(subagent) {
    const last = this.#shown.messagesOf(subagent).at(-1)?.info
    return Boolean(last && isOver(last))
  }

  /** The subagents in which what has this id stands, a message or a part: the outermost first. */
  subagentsAround(id) {
    const { subagents } = this.#shown
    let subagent = [...subagents.values()].find(({ messages }) =>
      messages.some((message) => message.id === id || message.parts.has(id)),
    )
    const around = []
    while (subagent) {
      around.unshift(subagent.session)
      subagent = subagents.get(subagent.task?.message.session)
    }
    return around
  }

  /** Messages that are not there themselves, though parts of them are. */
  stray() {
    return this.#shown.stray
  }

  /**
   * The session, or one of its subagents, as turns: a prompt, and the answers until the next one. Parts without their
   * message are a last turn without an id.
   */
  turns(subagent) {
    const turns = []
    for (const message of subagent === undefined ? this.ordered() : this.#shown.messagesOf(subagent)) {
      const isPrompt = message.info.role === 'user'
      if (isPrompt) turns.push({ id: message.id, prompt: message, answers: [] })
      else if (turns.length) turns.at(-1).answers.push(message)
      else turns.push({ id: message.id, prompt: undefined, answers: [message] })
    }
    const stray = subagent === undefined ? this.stray() : []
    if (stray.length) turns.push({ id: undefined, prompt: undefined, answers: stray })
    return turns
  }
}

/** The messages of a turn, as `turns` gives them. */
export const messagesOfTurn = ({ prompt, answers }) => (prompt ? [prompt, ...answers] : answers)

/** Whether with a message, when it is the last, nothing more is awaited. An answer without times ended when it came. */
export const isOver = (info) =>
  info.role === 'assistant' && (!info.time || times(info).completed !== undefined || Boolean(info.error))

/** A message's parts in reading order. */
function sorted(message) {
  message.sorted ??= partOrder([...message.parts.values()])
  return message.sorted
}

/** The tasks of a message, in reading order, with the subagents that they opened. */
function tasksOf(message) {
  message.tasks ??= sorted(message).flatMap(({ id, opens }) => (opens ? { part: id, session: opens } : []))
  return message.tasks
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

/** The text of a prompt, without what its client added. */
export function promptText(parts) {
  return parts
    .filter(({ type, synthetic, ignored }) => type === 'text' && !synthetic && !ignored)
    .map((part) => text(part.text))
    .join('\n\n')
}

function partsBeyond(newer, older) {
  const known = new Set(older.parts())
  let count = 0
  for (const part of newer.parts()) if (!known.has(part)) count += 1
  return count
}

function split(key) {
  const first = key.indexOf('/')
  if (first < 0) return [key]
  const kind = key.slice(0, first)
  if (kind !== 'part') return [kind, key.slice(first + 1)]
  const second = key.indexOf('/', first + 1)
  return [kind, key.slice(first + 1, second), key.slice(second + 1)]
}
