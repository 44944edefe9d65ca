// One share: a Durable Object with its own SQLite database, to which viewers are connected by WebSockets that survive
// while it sleeps. It keeps nothing in memory that is not stored.
//
// **Durable before visible.** The runtime holds back what leaves an object, answers and WebSocket frames alike, until
// what the object wrote before is stored (output gates). So a sync writes and shows in one go.

import { DurableObject } from 'cloudflare:workers'

import { readingOrder, standing } from '../../viewer/load/order.js'
import { above, below, bytesOf, changeOf, isSealed, mergedModels, messageOf } from './items.js'
import { checkNesting, elements, fieldsOfBody, parse, secondsOf } from './json.js'
import { limitsOf } from './limits.js'
import * as locks from './lock.js'
import { Refusal, answered } from './refusal.js'
import { versionOf } from './sealed.js'
import { Tries, clientOf } from './tries.js'

/** How much a frame carries, in bytes, when that is more than one item: over a WebSocket, and over HTTP. */
const FRAME_BYTES = 128 << 10
const PAGE_BYTES = 1 << 20

/** Characters of an item in one row: a row may have 2 MB, a character up to three bytes. */
const PIECE = 600_000

/** What an item costs beside its key and content, in bytes. It also keeps tombstones from growing without bound. */
const ITEM_OVERHEAD = 128

/** Bytes of a body that carries a secret alone. */
const MAX_SMALL_BODY = 64 << 10

/** Characters of an agent's own words that are told. */
const MAX_LABEL = 200

/** Messages that are looked at for one of the session itself, among those that its subagents change. */
const MAX_LOOKED_AT = 256

/** How often viewers are told how many they are, at most, in milliseconds. */
const VIEWERS_EVERY = 250

/** How long it is known that a share was deleted, in milliseconds. */
const REMEMBERED_FOR = 365 * 24 * 3600 * 1000

/** How long what opened the lock is known again, in milliseconds. */
const REMEMBER_FOR = 60_000

/** Characters of a sealed item in which its name and version stand. */
const SEALED_HEAD = 100

/** The largest frame of a viewer that is refused for being one (1003) and not for its size (1009), in bytes. */
const MAX_INCOMING = 4 << 10

/** Close codes (PROTOCOL.md). */
const UNSUPPORTED = 1003
const TOO_BIG = 1009
const RESTART = 1012
const GONE = 4410

// `n` is an item's place by when it first came; `size`, in bytes, is null when it was removed, which viewers have to
// learn; what of its data is more than one piece stands in `pieces`.
const SCHEMA = `
  CREATE TABLE items (
    n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL UNIQUE, size INTEGER, data TEXT,
    more INTEGER NOT NULL);
  CREATE TABLE pieces (n INTEGER, at INTEGER, data TEXT NOT NULL, PRIMARY KEY (n, at)) WITHOUT ROWID;`

/** On an answer that got past a lock, for the Worker: it is not for web pages of other origins. */
export const PAST_A_LOCK = 'x-past-a-lock'

const READ_HEADERS = { 'cache-control': 'no-store', 'x-robots-tag': 'noindex' }

export class Share extends DurableObject {
  #sql
  #limits
  /** What is known of the share as a whole; `undefined` when there is none. */
  #share
  /** The count of viewers that they were told, and what will tell the next. */
  #told
  #telling
  #tries
  /** What opened the lock lately: a MAC over it, and until when it is known. */
  #remembered

  constructor(ctx, env) {
    super(ctx, env)
    this.#sql = ctx.storage.sql
    this.#limits = limitsOf(env)
    this.#tries = new Tries(ctx.storage.kv)
    this.#share = ctx.storage.kv.get('share')
  }

  /** Makes this object the share. Called once, by whoever drew its id. */
  create({ id, epoch, secret, lifetime, sealed, lock }) {
    const now = Date.now()
    const { defaultLifetime, maxLifetime } = this.#limits
    const expiresAt = earliest(after(now, lifetime ?? defaultLifetime), after(now, maxLifetime))
    this.ctx.storage.transactionSync(() => {
      this.#sql.exec(SCHEMA)
      const numbers = { createdAt: now, updatedAt: now, seq: 0, size: 0, living: 0, ever: 0 }
      this.#keep({ id, epoch, secret, sealed, lock, expiresAt, ...numbers })
    })
    this.#wakeAt(this.#end)
    return expiresAt
  }

  /** Answers a request, whose path is what is asked of the share. */
  async fetch(request) {
    const url = new URL(request.url)
    const handlers = {
      '/summary': () => this.#summary(request),
      '/title': () => Response.json(this.#name()),
      '/data': () => this.#data(request),
      '/items': () => this.#items(request, url.searchParams),
      '/poll': () => this.#poll(request, url.searchParams),
      '/sync': () => this.#sync(request),
      '/open': () => this.#open(request, url.protocol === 'https:'),
      '/amend': () => this.#amend(request),
      '/delete': () => this.#delete(request),
    }
    const answer = await answered(handlers[url.pathname])
    if (this.#share?.lock && answer.status < 400 && !answer.webSocket) answer.headers.set(PAST_A_LOCK, '1')
    return answer
  }

  /** Its time may be over. */
  async alarm() {
    if (!this.#share) return
    if (this.#share.deleted) return this.ctx.storage.deleteAll()
    if (this.#isOver) return this.#remove('expired')
    this.#wakeAt(this.#end)
  }

  webSocketMessage(socket, message) {
    const size = typeof message === 'string' ? bytesOf(message) : message.byteLength
    socket.close(size > MAX_INCOMING ? TOO_BIG : UNSUPPORTED)
    this.#countViewers()
  }

  webSocketClose(socket, code) {
    // Codes that may not be sent stand for none.
    if (socket.readyState < WebSocket.CLOSED) socket.close(code === 1005 || code === 1006 ? 1000 : code)
    this.#countViewers()
  }

  webSocketError() {
    this.#countViewers()
  }

  /** The share as it can be read and written now. */
  #live() {
    if (this.#share && !this.#share.deleted && !this.#isOver) return this.#share
    throw new Refusal('no_such_share', 'no such share: it never existed, or it was deleted')
  }

  /** When it ends, as things stand, in milliseconds since 1970: a sync may put it off. */
  get #end() {
    const { createdAt, updatedAt, expiresAt, seq } = this.#share
    const { maxLifetime, idleLifetime, unsyncedLifetime } = this.#limits
    const unused = seq ? after(updatedAt, idleLifetime) : after(createdAt, unsyncedLifetime)
    return earliest(earliest(expiresAt, after(createdAt, maxLifetime)), unused)
  }

  get #isOver() {
    return this.#end !== null && this.#end <= Date.now()
  }

  #wakeAt(time) {
    // A time that is too far off is looked at again then.
    if (time !== null) this.ctx.storage.setAlarm(Math.min(time, Date.now() + REMEMBERED_FOR))
  }

  #keep(share) {
    this.ctx.storage.kv.put('share', share)
    this.#share = share
  }

  // Who is let in.

  /**
   * Lets in who may read items, or says why not: `text` is what the server makes of them, which it cannot of sealed
   * ones. For `link` the link is enough; gives whether the lock is open.
   */
  async #admit(request, need, shown = locks.shownBy(request, `share_${this.#live().id}`)) {
    const { sealed, lock } = this.#live()
    if (shown.secret !== undefined) await this.#checkSecret(shown.secret)
    if (need === 'text' && sealed) {
      const how = 'run `brutus-share read LINK`, with the whole link'
      throw new Refusal('sealed', `this session is encrypted, and the server cannot open it: ${how}`)
    }
    const isOpen =
      !lock ||
      shown.secret !== undefined ||
      (await this.#wasOpened(lock, shown)) ||
      (await this.#unlock(lock, request, need, shown.key))
    // It may have ended meanwhile, or got another lock.
    return this.#live().lock === lock ? isOpen : this.#admit(request, need, shown)
  }

  async #wasOpened(lock, { cookies = [], key }) {
    if (await locks.isCookieOf(lock, cookies)) return true
    const { memory, until } = this.#remembered ?? {}
    return key !== undefined && Date.now() < until && locks.isSame(memory, await locks.memoryOf(lock, key))
  }

  /** Tries to open the lock by what is shown; gives false when it need not be open. */
  async #unlock(lock, request, need, key) {
    const mode = request.headers.get('sec-fetch-mode')
    // A browser that is told to would ask in a box of its own, before the page can.
    const asks = need !== 'open' && lock.salt && (mode === null || mode === 'navigate')
    const headers = asks ? { 'www-authenticate': 'Basic realm="share", charset="UTF-8"' } : {}
    if (!key || !locks.fits(lock, key)) {
      if (need === 'link') return false
      const how = 'send `Authorization: Basic` with any name, or `Bearer`, or open it first'
      const message = `readers of this session need its password, or what its phrase comes to: ${how}`
      throw new Refusal('password_needed', message, headers)
    }
    // It may have ended meanwhile, and then nothing is stored any more.
    this.#live()
    // Counted before it is looked at: of many at a time no more are looked at.
    const client = clientOf(request)
    const wait = this.#tries.count(client)
    if (wait !== undefined) {
      const seconds = Math.ceil(wait / 1000)
      throw new Refusal('too_many_tries', `too many wrong passwords: wait ${seconds} s`, { 'retry-after': seconds })
    }
    if (!(await locks.opens(lock, key))) throw new Refusal('wrong_password', 'wrong password for this session', headers)
    const memory = await locks.memoryOf(lock, key)
    this.#live()
    this.#tries.forget(client)
    this.#remembered = { memory, until: Date.now() + REMEMBER_FOR }
    return true
  }

  /** Opens the lock for a browser, which gets a cookie. */
  async #open(request, isSecure) {
    this.#live()
    const body = await textOf(request, MAX_SMALL_BODY)
    const { password = 'null', door = 'null' } = fieldsOfBody(body, '{password} or {door}')
    if ((password === 'null') === (door === 'null')) {
      throw new Refusal('malformed', 'expected either `password` or `door`')
    }
    const key = door === 'null' ? locks.passwordOf(parse(password)) : { door: locks.decoded(parse(door), 32) }
    if (!key.password && !key.door) throw new Refusal('malformed', '`door` must be 32 bytes in base64url')
    await this.#admit(request, 'open', { key })
    const answer = done()
    const { id, lock } = this.#live()
    if (lock) {
      const cookie = `share_${id}=${await locks.cookieFor(lock)}; Path=/; Max-Age=${locks.OPEN_FOR}`
      answer.headers.set('set-cookie', `${cookie}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`)
    }
    return answer
  }

  async #checkSecret(claimed) {
    const { secret } = this.#share
    if (!(await matches(secret, claimed))) throw new Refusal('wrong_secret', 'wrong secret for this share')
  }

  /** The fields of a body, once its secret is looked at. */
  async #admitted(body, shape, later) {
    const given = fieldsOfBody(body, shape, later)
    const claimed = given.secret === undefined ? undefined : parse(given.secret)
    if (typeof claimed !== 'string') throw new Refusal('malformed', '`secret` must be a string')
    await this.#checkSecret(claimed)
    return given
  }

  // Writing.

  async #sync(request) {
    const { sealed } = this.#live()
    // The secret before all else: nothing of a body is read on for somebody who may not write.
    const body = await textOf(request, this.#limits.maxBody, (claimed) => this.#checkSecret(claimed))
    checkNesting(body)
    const { data } = await this.#admitted(body, '{secret, data}', 'data')
    if (data === undefined) throw new Refusal('malformed', '`data` is missing: expected an array of {type, data}')
    const items = elements(data)
    if (!items) throw new Refusal('malformed', '`data` must be an array of {type, data}')
    const [changes, limits] = [[], { maxItem: this.#limits.maxItem, isOfSealed: sealed !== undefined }]
    for (const item of items) {
      // A batch that takes all items of a full share away and brings as many others is no larger.
      if (changes.length >= this.#limits.maxItems * 2) throw this.#tooMany()
      changes.push(changeOf(item, changes.length, limits))
    }
    // It may have ended meanwhile.
    this.#live()
    this.#apply(changes)
    return done()
  }

  /** Stores a batch, all of it or nothing, and shows viewers what is new. */
  #apply(changes) {
    const share = { ...this.#share }
    const changed = []
    for (const [key, data] of this.#staged(changes)) {
      const older = this.#look(key)
      const size = data === null ? null : bytesOf(data)
      const isSame = older ? older.size === size && (size === null || this.#read(key) === data) : size === null
      if (isSame) continue
      changed.push({ key, data, size, older })
      share.size += cost(key, size) - (older ? cost(key, older.size) : 0)
      share.living += (size !== null) - (older ? older.size !== null : 0)
      share.ever += older ? 0 : 1
    }
    if (!changed.length) return
    this.#checkRoom(share)
    // Parts last, for a client may send a part before its message.
    changed.sort((one, other) => isPart(one.key) - isPart(other.key))
    const before = share.seq
    this.ctx.storage.transactionSync(() => {
      let n = this.#share.ever
      for (const { older, ...item } of changed) this.#put({ ...item, n: older?.n ?? n++, seq: ++share.seq })
      this.#keep({ ...share, updatedAt: Date.now() })
    })
    // The first sync may end what an unused share ends by.
    if (!before) this.#wakeAt(this.#end)
    const back = new Set(changed.filter(({ older }) => older?.size === null).map(({ key }) => key))
    this.#send(this.#viewers, before, (key) => back.has(key))
  }

  /** What a batch would change: of each key the last, at the place of its first. `null` takes it away. */
  #staged(changes) {
    const [staged, grouped, models] = [new Map(), new Map(), []]
    const stage = (key, data) => {
      staged.set(key, data)
      for (const prefix of above(key)) grouped.set(prefix, (grouped.get(prefix) ?? new Set()).add(key))
    }
    // What goes with an item is gone through at its last removal alone, however often the batch removes it.
    const lastRemovals = new Map()
    changes.forEach(({ key, data }, place) => data === undefined && lastRemovals.set(key, place))
    changes.forEach(({ key, data = null, models: list }, place) => {
      if (list) return models.push(list)
      const prefix = data === null && lastRemovals.get(key) === place ? below(key) : undefined
      if (prefix !== undefined) {
        const of = 'SELECT key FROM items WHERE key >= ? AND key < ? AND size IS NOT NULL'
        // Behind the slash comes the zero.
        const stored = [...this.#sql.exec(of, prefix, `${prefix.slice(0, -1)}0`)].map((row) => row.key)
        for (const one of [...stored, ...(grouped.get(prefix) ?? [])]) stage(one, null)
      }
      // A request that was late, or is tried again, takes nothing back.
      if (data !== null && isSealed(key) && versionOf(data) <= this.#version(key, staged.get(key))) return
      stage(key, data)
    })
    if (models.length) {
      const older = this.#read('model')
      staged.set('model', mergedModels(older ? [older, ...models] : models))
    }
    return staged
  }

  /** The version of a sealed item that is there, in the batch or stored; 0 when none is. */
  #version(key, staged) {
    if (staged !== undefined) return staged === null ? 0 : versionOf(staged)
    const head = `SELECT substr(data, 1, ${SEALED_HEAD}) AS head FROM items WHERE key = ? AND size IS NOT NULL`
    const [row] = this.#sql.exec(head, key)
    return row ? versionOf(row.head) : 0
  }

  /** A share that is over a limit already, because that was lowered, may change and shrink. */
  #checkRoom({ size, living, ever }) {
    const { maxShare, maxItems } = this.#limits
    if (size > maxShare && size > this.#share.size) {
      throw new Refusal('share_too_large', `the share would grow over ${maxShare} bytes (max_share)`)
    }
    const tooManyEver = ever / 2 > maxItems && ever > this.#share.ever
    if ((living > maxItems && living > this.#share.living) || tooManyEver) throw this.#tooMany()
  }

  #tooMany() {
    return new Refusal('too_many_items', `the share would hold more than ${this.#limits.maxItems} items (max_items)`)
  }

  /** Changes what readers need besides the link, or when the share ends. What is left out stays; `null` is none. */
  async #amend(request) {
    this.#live()
    const shape = '{secret, password?, expiresIn?}'
    const { password, expiresIn } = await this.#admitted(await textOf(request, MAX_SMALL_BODY), shape)
    if (password === undefined && expiresIn === undefined) {
      throw new Refusal('malformed', 'expected `password`, `expiresIn`, or both: a value, or null for none')
    }
    const lifetime = (expiresIn ?? 'null') === 'null' ? undefined : secondsOf(expiresIn) * 1000
    if (password !== undefined && this.#share.sealed) throw new Refusal('malformed', NO_PASSWORD)
    const isLocked = (password ?? 'null') !== 'null'
    const lock = isLocked ? await locks.lockByPassword(locks.passwordOf(parse(password))) : undefined
    // It may have ended meanwhile.
    const share = { ...this.#live() }
    const isRelocked = password !== undefined && (lock ?? share.lock) !== undefined
    if (password !== undefined) share.lock = lock
    const [now, { maxLifetime }] = [Date.now(), this.#limits]
    if (expiresIn !== undefined) share.expiresAt = lifetime ? earliest(now + lifetime, after(now, maxLifetime)) : null
    this.#keep(share)
    this.#wakeAt(this.#end)
    // They come back, and are asked for what is needed now.
    if (isRelocked) for (const socket of this.#viewers) socket.close(RESTART)
    return done()
  }

  async #delete(request) {
    if (!this.#share) this.#live()
    await this.#admitted(await textOf(request, MAX_SMALL_BODY), '{secret}')
    if (!this.#share.deleted) await this.#remove('deleted')
    return done()
  }

  /** Ends the share for everybody. What is left tells a repeated delete from a wrong secret, for a year. */
  async #remove(reason) {
    const { id, secret } = this.#share
    this.#share = { id, secret, deleted: true }
    await this.ctx.storage.deleteAll()
    this.#keep(this.#share)
    this.#wakeAt(Date.now() + REMEMBERED_FOR)
    for (const socket of this.#viewers) {
      socket.send(JSON.stringify({ type: 'closed', reason }))
      socket.close(GONE)
    }
  }

  // Items.

  /** Place and size of what is stored under a key; a size of `null` says that it was removed. */
  #look(key) {
    return [...this.#sql.exec('SELECT n, size FROM items WHERE key = ?', key)][0]
  }

  /** What is stored under a key, if anything is. */
  #read(key) {
    const [row] = this.#sql.exec('SELECT n, data, more FROM items WHERE key = ? AND size IS NOT NULL', key)
    return row && this.#whole(row)
  }

  #whole({ n, data, more }) {
    if (!more) return data
    const rest = this.#sql.exec('SELECT data FROM pieces WHERE n = ? ORDER BY at', n)
    return data + [...rest].map(({ data }) => data).join('')
  }

  #put({ n, key, seq, size, data }) {
    const [first = null, ...more] = size === null ? [] : pieces(data)
    this.#sql.exec(
      `INSERT INTO items (n, key, seq, size, data, more) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (n)
       DO UPDATE SET seq = excluded.seq, size = excluded.size, data = excluded.data, more = excluded.more`,
      ...[n, key, seq, size, first, more.length],
    )
    this.#sql.exec('DELETE FROM pieces WHERE n = ?', n)
    more.forEach((piece, at) => this.#sql.exec('INSERT INTO pieces (n, at, data) VALUES (?, ?, ?)', n, at, piece))
  }

  /** Everything newer than a position, or as much as `max` bytes allow, but at least one item, as one frame. */
  #frame(position, max, isPlaced) {
    const { epoch, seq } = this.#share
    const frame = { seq, more: false }
    const [items, parts, removed] = [[], [], []]
    let [bytes, last] = [0, position]
    const newer = 'SELECT n, key, seq, size, data, more FROM items WHERE seq > ? ORDER BY seq'
    for (const row of this.#sql.exec(newer, position)) {
      const { n, key, size } = row
      if (bytes && bytes + key.length + size > max) {
        Object.assign(frame, { seq: last, more: true })
        break
      }
      bytes += key.length + size
      last = row.seq
      // Who has nothing yet need not hear what was removed.
      if (size === null && position) removed.push(key)
      if (size === null) continue
      const place = isPlaced(key) ? `"n":${n},` : ''
      const item = `{"key":${JSON.stringify(key)},${place}"type":"${typeOf(key)}","data":${this.#whole(row)}}`
      ;(isPart(key) ? parts : items).push(item)
    }
    const head = `{"type":"items","epoch":"${epoch}","seq":${frame.seq},"items":[${[...items, ...parts].join()}]`
    return { ...frame, text: `${head},"removed":${JSON.stringify(removed)},"more":${frame.more}}` }
  }

  /** A position means something in its own epoch, and only when it is not ahead of the share. */
  #position(query) {
    const after = query.get('after') ?? '0'
    if (!/^\d{1,19}$/.test(after)) {
      throw new Refusal('malformed', '`after` must be a sequence number and `epoch` a text, as a frame gave them')
    }
    return query.get('epoch') === this.#share.epoch && Number(after) <= this.#share.seq ? Number(after) : 0
  }

  // Reading.

  async #summary(request) {
    const isOpen = await this.#admit(request, 'link')
    const { id, createdAt, updatedAt, seq, sealed, lock } = this.#live()
    const known = { id, title: null, ...(sealed && { sealed: { ...sealed, locked: lock !== undefined } }) }
    if (lock?.salt) known.protected = true
    if (!isOpen) return Response.json(known, { headers: READ_HEADERS })
    const [title, status, viewers] = [this.#title(), this.#activity(), this.#viewers.length]
    const summary = { ...known, title, status, createdAt, updatedAt, expiresAt: this.#end, viewers, seq }
    return Response.json(summary, { headers: READ_HEADERS })
  }

  /** What is said of the session to who has its link, and whether that is all there is for them. */
  #name() {
    const { sealed, lock } = this.#live()
    if (sealed) return { title: 'An encrypted session', isClosed: true }
    return lock ? { title: 'A protected session', isClosed: true } : { title: this.#title(), isClosed: false }
  }

  #session() {
    const session = this.#read('session')
    return session ? JSON.parse(session) : {}
  }

  #title() {
    const { title } = this.#session()
    return typeof title === 'string' ? title.toWellFormed() : null
  }

  /** What the agent does: as it says itself, or else as the message says that changed last, its own if there is one. */
  #activity() {
    const said = JSON.parse(this.#read('status') ?? 'null')
    if (['busy', 'idle', 'waiting', 'gone'].includes(said?.state)) {
      const label = typeof said.label === 'string' && said.label.trim() ? said.label : undefined
      const at = Number.isSafeInteger(said.at) ? said.at : undefined
      return { state: said.state, label: label && [...label].slice(0, MAX_LABEL).join(''), at }
    }
    const { id } = this.#session()
    const isOwn = ({ sessionID }) =>
      typeof id !== 'string' || typeof sessionID !== 'string' || [id, ''].includes(sessionID)
    const last =
      "SELECT n, data, more FROM items WHERE key GLOB 'message/*' AND size IS NOT NULL ORDER BY seq DESC LIMIT ?"
    let newest
    for (const row of this.#sql.exec(last, MAX_LOOKED_AT)) {
      const message = JSON.parse(this.#whole(row))
      newest ??= message
      if (isOwn(message)) return { state: stateOf(message) }
    }
    return newest ? { state: stateOf(newest) } : null
  }

  /** All items in reading order. They are read as they are sent, so that none but these are in memory. */
  async #data(request) {
    await this.#admit(request, 'text')
    const { epoch, seq, lock } = this.#live()
    const tag = `W/"${epoch}-${seq}"`
    if (knows(request, tag)) return notModified(tag)
    const places = this.#inReadingOrder()
    const encoder = new TextEncoder()
    let at = 0
    let before = '['
    const piece = () => {
      let text = ''
      while (at < places.length && text.length < FRAME_BYTES) {
        const [row] = this.#sql.exec(
          'SELECT n, key, data, more FROM items WHERE n = ? AND size IS NOT NULL',
          places[at++],
        )
        if (!row) continue
        text += `${before}{"type":"${typeOf(row.key)}","data":${this.#whole(row)}}`
        before = ','
      }
      return at < places.length ? text : `${before === '[' ? '[' : text}]`
    }
    const body = new ReadableStream({
      pull: (controller) => {
        // It was let in by another lock than there is now.
        if (this.#share.lock !== lock) return controller.error(new Error('the share has another lock'))
        controller.enqueue(encoder.encode(piece()))
        if (at >= places.length) controller.close()
      },
    })
    return new Response(body, { headers: { ...READ_HEADERS, 'content-type': 'application/json', etag: tag } })
  }

  /** The session, the messages, each with its parts, parts without a message, then the rest by key. */
  #inReadingOrder() {
    const [session, rest, messages, parts] = [[], [], [], new Map()]
    for (const { n, key } of this.#sql.exec('SELECT n, key FROM items WHERE size IS NOT NULL ORDER BY n')) {
      const message = messageOf(key)
      if (key === 'session') session.push(n)
      else if (key.startsWith('message/'))
        messages.push({ id: key.slice(8), n, ...standing(JSON.parse(this.#read(key))) })
      else if (message === undefined) rest.push({ n, key })
      else if (parts.has(message)) parts.get(message).push(n)
      else parts.set(message, [n])
    }
    const take = (message) => {
      const of = parts.get(message) ?? []
      parts.delete(message)
      return of
    }
    const read = readingOrder(messages).flatMap(({ id, n }) => [n, ...take(id)])
    const orphans = [...parts.values()].flat().sort((one, other) => one - other)
    rest.sort((one, other) => (one.key < other.key ? -1 : 1))
    return [...session, ...read, ...orphans, ...rest.map(({ n }) => n)]
  }

  async #items(request, query) {
    await this.#admit(request, 'items')
    const { epoch } = this.#live()
    const position = this.#position(query)
    const isPlaced = query.get('order') === '1'
    const { text, seq } = this.#frame(position, PAGE_BYTES, () => isPlaced)
    const tag = `W/"${epoch}-${position}-${seq}-${Number(isPlaced)}"`
    if (knows(request, tag)) return notModified(tag)
    return new Response(text, { headers: { ...READ_HEADERS, 'content-type': 'application/json', etag: tag } })
  }

  // Viewers.

  get #viewers() {
    return this.ctx.getWebSockets().filter(({ readyState }) => readyState === WebSocket.OPEN)
  }

  /** Lets a viewer in: it gets all that it does not have at once, and so has from then on what all have. */
  async #poll(request, query) {
    if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
      throw new Refusal('not_an_upgrade', 'this address speaks WebSocket: send a GET with `Upgrade: websocket`')
    }
    await this.#admit(request, 'items')
    const position = this.#position(query)
    if (this.#viewers.length >= this.#limits.maxViewers) {
      throw new Refusal('too_many_viewers', 'this share has as many viewers as it may have (max_viewers)')
    }
    const isPlaced = query.get('order') === '1'
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server)
    this.#send([server], position, () => isPlaced)
    this.#told = undefined
    this.#countViewers()
    return new Response(null, { status: 101, webSocket: client })
  }

  /** Sends viewers who stand at a position what is newer: one frame at least. */
  #send(viewers, position, isPlaced) {
    if (!viewers.length) return
    for (let frame = { seq: position, more: true }; frame.more;) {
      frame = this.#frame(frame.seq, FRAME_BYTES, isPlaced)
      for (const viewer of viewers) viewer.send(frame.text)
    }
  }

  /** Tells viewers how many they are, soon: that changes often while many come. */
  #countViewers() {
    if (this.#telling !== undefined) return
    this.#telling = setTimeout(() => {
      this.#telling = undefined
      const viewers = this.#viewers
      if (viewers.length === this.#told) return
      this.#told = viewers.length
      for (const viewer of viewers) viewer.send(JSON.stringify({ type: 'viewers', count: viewers.length }))
    }, VIEWERS_EVERY)
  }
}

export const NO_PASSWORD = 'a sealed share has no `password`: its phrase is a part of its key'

const done = () => Response.json({}, { headers: READ_HEADERS })
const notModified = (etag) => new Response(null, { status: 304, headers: { ...READ_HEADERS, etag } })
const typeOf = (key) => key.split('/', 1)[0]
const isPart = (key) => key.startsWith('part/')
const cost = (key, size) => bytesOf(key) + (size ?? 0) + ITEM_OVERHEAD

/** Times are `null` where there is none. */
const after = (time, lifetime) => (lifetime ? time + lifetime : null)
const earliest = (one, other) => (one === null || other === null ? (one ?? other) : Math.min(one, other))

/** What a message says that changed last: that an answer is awaited, or has come to its end. */
function stateOf({ role, time, error }) {
  const isOver = (time ?? null) === null || (time.completed ?? null) !== null || (error ?? null) !== null
  return role === 'assistant' && isOver ? 'idle' : 'busy'
}

/** A text in pieces that each have room in a row. A surrogate pair stays whole. */
function pieces(text) {
  const all = []
  for (let at = 0; at < text.length || !at;) {
    const end = at + PIECE
    const isCut = (text.charCodeAt(end - 1) & 0xfc00) === 0xd800
    all.push(text.slice(at, isCut ? end - 1 : end))
    at += all.at(-1).length
  }
  return all
}

/** Whether a claimed secret is the one whose hash is kept, in constant time. */
async function matches(hash, claimed) {
  return crypto.subtle.timingSafeEqual(hash, await hashOf(claimed))
}

/** A secret has 122 random bits, so a fast hash without salt is enough. */
export const hashOf = (secret) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(secret))

/** Whether a reader names a tag as one that it has. */
function knows(request, tag) {
  const known = request.headers.get('if-none-match')?.split(',') ?? []
  const bare = (tag) => tag.trim().replace(/^W\//, '').replaceAll('"', '')
  return known.some((one) => bare(one) === bare(tag))
}

/**
 * A request's body as text, of at most `max` bytes. Once its beginning has come, `isWriter` is asked about the secret
 * when that stands first, and the rest is read only if it agrees.
 */
export async function textOf(request, max, isWriter) {
  const tooLarge = new Refusal('body_too_large', `the body is larger than ${max} bytes (max_body)`)
  if (Number(request.headers.get('content-length')) > max) throw tooLarge
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let [text, bytes] = ['', 0]
  try {
    for await (const chunk of request.body ?? []) {
      const isFirst = !bytes
      bytes += chunk.byteLength
      if (bytes > max) throw tooLarge
      text += decoder.decode(chunk, { stream: true })
      const leading = isFirst && isWriter && /^\s*\{\s*"secret"\s*:\s*"([^"\\]*)"/.exec(text)
      if (leading) await isWriter(leading[1])
    }
    return text + decoder.decode()
  } catch (error) {
    throw error instanceof TypeError ? new Refusal('malformed', 'the body is not valid JSON: it is not UTF-8') : error
  }
}
