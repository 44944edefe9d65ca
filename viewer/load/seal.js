// What the key of a link opens (docs/PRIVACY.md, "Sealed shares"): the keys that are made of it, and items by them. All
// by the browser's own cryptography; the keys cannot be read back from it. Knows no page and no network.

import { isRecord } from '../values.js'
import { Inflate, inflateSync } from '../vendor/inflate.min.js'

const FORMAT = 'brutus-share/e2e/1'
const KEY = /^[0-9A-Za-z]{22}$/
const ITEM = /^[\w-]{22}(?:\/[\w-]{22})?(?:\/\d{1,9})?$/
const ROUNDS = 600_000
const NONCE_BYTES = 12
const HEAD_BYTES = 5

/** The most bytes that one item may inflate to. */
const MAX_BYTES = 64 << 20
// Nearly all items fit in here, where they are read before the next: to make room for each takes longer than the rest.
const scratch = new Uint8Array(256 << 10)
// Inflated at most a thousand times as long, so a step takes no more memory than the whole may.
const STEP_BYTES = 64 << 10

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const bytesOf = (text) => encoder.encode(text)

/** Whether a text is a whole key. */
export const isKey = (key) => KEY.test(key)

/** Whether this is the data of a sealed item. */
export const isSealed = (data) =>
  isRecord(data) &&
  typeof data.id === 'string' &&
  ITEM.test(data.id) &&
  Number.isSafeInteger(data.v) &&
  data.v > 0 &&
  typeof data.c === 'string'

/** Whether this browser has what is needed: pages over plain HTTP, but for this machine's own, do not. */
export const isAble = () => Boolean(globalThis.crypto?.subtle)

/** The keys of a link, and of a phrase where there is one. */
export class Keys {
  #seal
  #set

  /** `check` tells whether they are those of a share, `door` lets in where a phrase is asked for: both base64url. */
  constructor({ check, door, seal, set }) {
    Object.assign(this, { check, door })
    this.#seal = seal
    this.#set = set
  }

  static async of(key, phrase) {
    const { subtle } = crypto
    const material = phrase === undefined ? bytesOf(key) : joined(bytesOf(key), await stretched(key, phrase))
    const root = await subtle.importKey('raw', material, 'HKDF', false, ['deriveBits', 'deriveKey'])
    material.fill(0)
    const hkdf = (name) => ({ name: 'HKDF', hash: 'SHA-256', salt: bytesOf(FORMAT), info: bytesOf(name) })
    const bits = async (name, count) => toBase64(new Uint8Array(await subtle.deriveBits(hkdf(name), root, count)))
    const hmac = { name: 'HMAC', hash: 'SHA-256', length: 256 }
    const [check, door, seal, set] = await Promise.all([
      bits('check', 128),
      bits('door', 256),
      subtle.deriveKey(hkdf('seal'), root, { name: 'AES-GCM', length: 256 }, false, ['decrypt']),
      subtle.deriveKey(hkdf('set'), root, hmac, false, ['sign']),
    ])
    return new Keys({ check, door, seal, set })
  }

  /** What is in an item of a share, `{ type, data }`. Throws when it is not what was sealed for that place. */
  async open(share, { id, v, c }) {
    const bytes = fromBase64(c)
    const additionalData = bytesOf(`${FORMAT}\n${share}\n${id}\n${v}`)
    const how = { name: 'AES-GCM', iv: bytes.subarray(0, NONCE_BYTES), additionalData }
    const padded = await crypto.subtle.decrypt(how, this.#seal, bytes.subarray(NONCE_BYTES))
    const body = JSON.parse(decoder.decode(unpadded(padded)))
    if (!isRecord(body) || typeof body.type !== 'string') throw new Error('not an item')
    return body
  }

  /** What an item adds to the manifest's `set`. */
  async tagOf(id, v) {
    return new Uint8Array(await crypto.subtle.sign('HMAC', this.#set, bytesOf(`${id}\n${v}`)))
  }
}

/** What is made of a phrase: slowly, so that guessing takes long; with the key, so that who lacks it cannot begin. */
async function stretched(key, phrase) {
  const { subtle } = crypto
  const typed = await subtle.importKey('raw', bytesOf(phrase.normalize('NFKC')), 'PBKDF2', false, ['deriveBits'])
  const salt = bytesOf(`${FORMAT} pass\n${key}`)
  const how = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: ROUNDS }
  return new Uint8Array(await subtle.deriveBits(how, typed, 256))
}

/** An encoding, a length, so many bytes, and what hides their length. */
function unpadded(buffer) {
  const view = new DataView(buffer)
  const [encoding, length] = [view.getUint8(0), view.getUint32(1)]
  const bytes = new Uint8Array(buffer, HEAD_BYTES, length)
  if (encoding > 1) throw new Error('an encoding that is not known')
  return encoding ? inflated(bytes) : bytes
}

function inflated(bytes) {
  const short = inflatedShort(bytes)
  if (short) return short
  const pieces = []
  let length = 0
  const inflate = new Inflate((piece) => {
    length += piece.length
    if (length > MAX_BYTES) throw new Error('too long')
    pieces.push(piece)
  })
  for (let at = 0; at < bytes.length; at += STEP_BYTES)
    inflate.push(bytes.subarray(at, at + STEP_BYTES), at + STEP_BYTES >= bytes.length)
  return pieces.length === 1 ? pieces[0] : joined(...pieces)
}

/** The same for what fits; nothing when it does not, or may be cut at its end. */
function inflatedShort(bytes) {
  try {
    const short = inflateSync(bytes, { out: scratch })
    return short.length < scratch.length ? short : undefined
  } catch {
    return undefined
  }
}

function joined(...pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

/** Bytes as base64url, without padding. */
export const toBase64 = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

/** The bytes of base64url. */
export function fromBase64(text) {
  // What newer browsers have takes a tenth of the time.
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text, { alphabet: 'base64url' })
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  const bytes = new Uint8Array(binary.length)
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = binary.charCodeAt(at)
  return bytes
}
