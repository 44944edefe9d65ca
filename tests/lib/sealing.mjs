// A client that seals what it sends, by node's own cryptography: none of the page's code is in it.

import { createCipheriv, createHash, createHmac, hkdfSync, pbkdf2Sync, randomBytes, randomInt } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'

const FORMAT = 'brutus-share/e2e/1'
const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const DEFLATED_FROM = 1024

// A text from this many bytes on is sent in segments of so many characters.
const [SEGMENTED_FROM, SEGMENT] = [4096, 2048]

/** A length, padded so that little is told by it. */
export function padme(length) {
  if (length < 2) return length
  const exponent = Math.floor(Math.log2(length))
  const step = 2 ** (exponent - Math.floor(Math.log2(exponent)) - 1)
  return Math.ceil(length / step) * step
}

export const randomKey = () => Array.from({ length: 22 }, () => LETTERS[randomInt(LETTERS.length)]).join('')

/** The keys of a link, and of a phrase. */
export class SealingKeys {
  constructor(key, phrase) {
    const parts = [key]
    if (phrase !== undefined)
      parts.push(pbkdf2Sync(phrase.normalize('NFKC'), `${FORMAT} pass\n${key}`, 600_000, 32, 'sha256'))
    const material = Buffer.concat(parts.map((part) => Buffer.from(part)))
    const derived = (name, bytes) => Buffer.from(hkdfSync('sha256', material, FORMAT, name, bytes))
    const [seal, name, set] = ['seal', 'name', 'set'].map((name) => derived(name, 32))
    Object.assign(this, { secrets: { seal, name, set } })
    this.check = derived('check', 16).toString('base64url')
    this.door = derived('door', 32).toString('base64url')
  }

  /** What the server keeps of the door's key. */
  get lock() {
    return createHash('sha256').update(Buffer.from(this.door, 'base64url')).digest('base64url')
  }

  nameOf(text) {
    return createHmac('sha256', this.secrets.name).update(text).digest().subarray(0, 16).toString('base64url')
  }

  /** The item's name that stands for a key of a plain share. */
  itemOf(key) {
    const [type, message] = key.split('/')
    return type === 'part' ? `${this.nameOf(`message/${message}`)}/${this.nameOf(key)}` : this.nameOf(key)
  }

  /** Seals a body, which is an object or the text of one. */
  seal(share, id, v, body, { nonce = randomBytes(12), deflate = true, length, encoding } = {}) {
    const plain = Buffer.from(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body))
    const small = deflate && plain.length >= DEFLATED_FROM ? deflateRawSync(plain) : plain
    const bytes = small.length <= plain.length * 0.75 ? small : plain
    const padded = Buffer.alloc(Math.max(64, padme(5 + bytes.length)))
    padded.writeUInt8(encoding ?? (bytes === plain ? 0 : 1))
    padded.writeUInt32BE(length ?? bytes.length, 1)
    bytes.copy(padded, 5)
    const cipher = createCipheriv('aes-256-gcm', this.secrets.seal, nonce)
    cipher.setAAD(Buffer.from(`${FORMAT}\n${share}\n${id}\n${v}`))
    const c = Buffer.concat([nonce, cipher.update(padded), cipher.final(), cipher.getAuthTag()])
    return { type: 'sealed', data: { id, v, c: c.toString('base64url') } }
  }

  tagOf(id, v) {
    return createHmac('sha256', this.secrets.set).update(`${id}\n${v}`).digest()
  }
}

/** The text of a part that is sent in segments, as these; nothing of any other item. */
function segmentsOf({ type, data }) {
  if (type !== 'part' || typeof data.text !== 'string' || Buffer.byteLength(data.text) <= SEGMENTED_FROM)
    return undefined
  const letters = [...data.text]
  return Array.from({ length: Math.ceil(letters.length / SEGMENT) }, (_, at) =>
    letters.slice(at * SEGMENT, (at + 1) * SEGMENT).join(''),
  )
}

/** A sealed share of a server, and what its client keeps of it. */
export class SealedShare {
  /** The living items, `{ v, plain }` by their names. */
  items = new Map()
  #version = 0

  /** Creates a share; `phrase` is asked for beside its link. */
  static async create(server, phrase) {
    const key = randomKey()
    const keys = new SealingKeys(key, phrase)
    const sealed = { version: 1, check: keys.check, ...(phrase !== undefined && { door: keys.lock }) }
    const { status, json, text } = await server.request('POST', '/api/share', { sessionID: 'x', sealed })
    if (status !== 200) throw new Error(`create: ${status} ${text}`)
    return Object.assign(new SealedShare(), {
      server,
      key,
      keys,
      ...json,
      page: json.url,
      url: `${json.url}#k1=${key}`,
    })
  }

  /** What is sent for items of a plain share: themselves, sealed, what goes with them, and the manifest. */
  seal(...plain) {
    const sent = plain.flatMap((item) => (item.type.endsWith('.removed') ? this.#remove(item) : this.#put(item)))
    return [...sent, this.manifest()]
  }

  async sync(...plain) {
    await this.send(this.seal(...plain))
  }

  /** Sends what is sealed already, or what is not. */
  async send(data) {
    const body = { secret: this.secret, data }
    const { status, text } = await this.server.request('POST', `/api/share/${this.id}/sync`, body)
    if (status !== 200) throw new Error(`sync: ${status} ${text}`)
  }

  async delete() {
    await this.server.request('DELETE', `/api/share/${this.id}`, { secret: this.secret })
  }

  manifest(at = Date.now()) {
    const set = Buffer.alloc(32)
    for (const [id, { v }] of this.items)
      for (const [place, byte] of this.keys.tagOf(id, v).entries()) set[place] ^= byte
    const data = { count: this.items.size, set: set.toString('base64url'), at }
    return this.keys.seal(this.id, this.keys.nameOf('manifest'), (this.#version += 1), { type: 'manifest', data })
  }

  #put(item) {
    const { type, data } = item
    const key = type === 'part' ? `part/${data.messageID}/${data.id}` : type === 'message' ? `message/${data.id}` : type
    const id = this.keys.itemOf(key)
    const segments = segmentsOf(item)
    const before = this.#below(id).filter((one) => /\/\d+$/.test(one))
    const gone = before.slice(segments?.length ?? 0).map((one) => this.#take(one))
    if (!segments) return [this.#sealed(id, item), ...gone]
    const changed = segments.flatMap((text, at) => {
      const name = `${id}/${at}`
      return this.items.get(name)?.plain.data === text ? [] : [this.#sealed(name, { type: 'segment', data: text })]
    })
    const head = { type, data: { ...data, text: { segments: segments.length } } }
    return [this.#sealed(id, head), ...changed, ...gone]
  }

  #sealed(id, plain) {
    const v = (this.#version += 1)
    this.items.set(id, { v, plain })
    return this.keys.seal(this.id, id, v, plain)
  }

  #below(id) {
    return [...this.items.keys()].filter((one) => one.startsWith(`${id}/`))
  }

  #remove({ type, data }) {
    const kind = type.slice(0, -'.removed'.length)
    return this.#take(this.keys.itemOf(kind === 'part' ? `part/${data.messageID}/${data.id}` : `${kind}/${data.id}`))
  }

  #take(id) {
    for (const one of [id, ...this.#below(id)]) this.items.delete(one)
    return { type: 'sealed.removed', data: { id } }
  }
}
