// What stands between a sealed share's connection and its session: opens what comes, and notes what the server did that
// an honest one does not. The link's key decides: whatever is not sealed by it does not count. Knows no page.

import { moment, own, record } from '../values.js'
import { Locked, Over } from './answers.js'
import { Keys, isAble, isKey, isSealed, toBase64 } from './seal.js'

/** Milliseconds after which a difference to the manifest is one: it comes in frames of its own, too. */
const SETTLE = 3000

// Items that are opened at once: between two such batches the browser gets its turn.
const AT_ONCE = 50

const SEGMENT = /^(.+)\/(\d+)$/

/**
 * Emits `doubts` whenever there are others: `{ plain, changed, older, less }`, how many items came that were not
 * sealed, did not open, or were older than what is held, and `{ at }` when there is less, or something older, than the
 * manifest of that time says.
 */
export class Opener extends EventTarget {
  #share
  #key
  #environment
  #settle
  #keys
  // The server's word by which a phrase is known to be the right one.
  #check
  // By their names, all items that ever came: `v`, whether it `lives`, and `key`, `type`, `data` and `n` of what is in
  // it. Of what is `gone` version and key stay: it does not come back, and is known when that is said again.
  #items = new Map()
  #manifest
  // The sum of the tags of those that live, and how many they are; `#uncounted` are those that have changed since.
  #tally = { sum: new Uint8Array(32), count: 0 }
  #uncounted = new Set()
  #comparing = Promise.resolve()
  #cancel
  #doubts = { plain: 0, changed: 0, older: 0, less: undefined }
  #isNew = false

  /** `share` is its id, `key` the link's, `environment` has `after(ms, action)`. */
  constructor(share, key, environment, settle = SETTLE) {
    super()
    this.#share = share
    this.#key = key
    this.#environment = environment
    this.#settle = settle
  }

  get doubts() {
    return { ...this.#doubts }
  }

  /** Makes the keys, unless they are there. `summary` asks the server for what it says of the share as a whole. */
  async begin(summary) {
    if (this.#keys) return
    if (!isAble()) throw new Over('unable')
    if (!isKey(this.#key)) throw new Over('wrongKey')
    const [keys, { sealed }] = await Promise.all([Keys.of(this.#key), summary()])
    const { locked, check } = record(sealed)
    this.#check = check
    if (locked === true) throw new Locked()
    if (typeof check === 'string' && check !== keys.check) throw new Over('wrongKey')
    this.#keys = keys
  }

  /** Tries a phrase: gives the key of the server's door when it is the right one. */
  async unlock(phrase) {
    const keys = await Keys.of(this.#key, phrase)
    if (keys.check !== this.#check) return undefined
    this.#keys = keys
    return keys.door
  }

  /** A frame as a plain share has it; `position` is the one that it is to follow. */
  async open(frame, position) {
    const opened = await inBatches(frame.items, (item) => this.#opened(item))
    // Everything comes anew.
    if (position?.epoch !== frame.epoch) this.#forget()
    const changed = new Set(opened.flatMap((item) => (item ? this.#put(item) : [])))
    const removed = frame.removed.flatMap((key) => this.#remove(key))
    if (this.#isNew) this.#tell()
    if (!frame.more) this.#comparing = this.#comparing.then(() => this.#compare())
    return { ...frame, items: [...changed].flatMap((id) => this.#plain(id)), removed }
  }

  /** All that it holds, as items of a plain share, by when they first came. */
  get items() {
    const placeOf = ({ n }) => n ?? Infinity
    const items = [...this.#items.keys()].flatMap((id) => this.#plain(id))
    return items.sort((one, other) => (placeOf(one) < placeOf(other) ? -1 : placeOf(one) > placeOf(other) ? 1 : 0))
  }

  async #opened({ key, type, data, n }) {
    if (type !== 'sealed') return this.#doubt('plain')
    if (!isSealed(data) || key !== `sealed/${data.id}`) return this.#doubt('changed')
    const { id, v } = data
    try {
      const body = await this.#keys.open(this.#share, data)
      return { id, v, n, ...body, key: keyOf(body) }
    } catch {
      return this.#doubt('changed')
    }
  }

  #doubt(kind) {
    this.#doubts[kind] += 1
    this.#isNew = true
  }

  /** Takes an item in. Gives the names of those that may be others by it. */
  #put({ id, v, n, key, type, data }) {
    const known = this.#items.get(id)
    if (known && (known.v > v || (known.gone && known.v === v))) {
      this.#doubt('older')
      // What is held is newer, and stays.
      if (known.data === undefined) return []
      known.lives = true
    } else if (type === 'manifest') {
      this.#items.set(id, { v })
      this.#manifest = record(data)
      return []
    } else this.#items.set(id, { v, n: n ?? known?.n, key, type, data, lives: true, tag: known?.tag })
    this.#uncounted.add(id)
    return [SEGMENT.exec(id)?.[1] ?? id]
  }

  #remove(name) {
    const id = name.replace(/^sealed\//, '')
    const item = this.#items.get(id)
    if (!item) return []
    Object.assign(item, { lives: false, gone: true, data: undefined })
    this.#uncounted.add(id)
    return item.key === undefined ? [] : [item.key]
  }

  #forget() {
    for (const item of this.#items.values()) item.lives = item.tag = undefined
    this.#tally = { sum: new Uint8Array(32), count: 0 }
    this.#uncounted.clear()
  }

  /** An item as a plain share has it: nothing while segments of its text are missing. */
  #plain(id) {
    const { lives, key, type, data, n } = this.#items.get(id) ?? {}
    if (!lives || key === undefined) return []
    const { segments } = record(record(data).text)
    if (segments === undefined) return [{ key, type, data, n }]
    let text = ''
    for (let at = 0; at < segments; at += 1) {
      const segment = this.#items.get(`${id}/${at}`)
      if (!segment?.lives) return []
      text += segment.data
    }
    return [{ key, type, data: { ...data, text }, n }]
  }

  /** Compares what lives with the manifest. What differs for too long is told, and so is when it does no more. */
  async #compare() {
    await this.#recount()
    const { sum, count } = this.#tally
    const told = this.#manifest ?? { count: 0 }
    if (told.count === count && (!count || told.set === toBase64(sum))) {
      this.#cancel?.()
      this.#cancel = undefined
      if (this.#doubts.less) this.#tell({ less: undefined })
    } else {
      this.#cancel ??= this.#environment.after(this.#settle, () => this.#tell({ less: { at: moment(told.at) } }))
    }
  }

  async #recount() {
    const due = [...this.#uncounted]
    const tally = this.#tally
    this.#uncounted.clear()
    const tags = await inBatches(due, (id) => {
      const { lives, v } = this.#items.get(id)
      return lives ? this.#keys.tagOf(id, v) : undefined
    })
    // What was counted means nothing once everything comes anew.
    if (tally !== this.#tally) return
    due.forEach((id, nth) => {
      const item = this.#items.get(id)
      for (const tag of [item.tag, tags[nth]]) tag?.forEach((byte, place) => (tally.sum[place] ^= byte))
      tally.count += Number(Boolean(tags[nth])) - Number(Boolean(item.tag))
      item.tag = tags[nth]
    })
  }

  #tell(doubts) {
    this.#isNew = false
    Object.assign(this.#doubts, doubts)
    this.dispatchEvent(new CustomEvent('doubts', { detail: this.doubts }))
  }
}

async function inBatches(things, work) {
  const done = []
  for (let at = 0; at < things.length; at += AT_ONCE)
    done.push(...(await Promise.all(things.slice(at, at + AT_ONCE).map(work))))
  return done
}

// What there is once in a session; and by what else is named what there may be more of.
const SINGLE = new Set(['session', 'session_diff', 'model', 'status', 'agent', 'manifest'])
const NAMED_BY = { part: ['messageID', 'id'], messages: ['sessionID'] }

/** What an item is stored under in a plain share; nothing for a segment. Throws when it has no name. */
function keyOf({ type, data }) {
  if (type === 'segment' && typeof data === 'string') return undefined
  if (SINGLE.has(type)) return type
  const names = (own(NAMED_BY, type) ?? ['id']).map((field) => record(data)[field])
  if (!names.every((name) => typeof name === 'string' && name)) throw new Error('an item without its name')
  return [type, ...names].join('/')
}
