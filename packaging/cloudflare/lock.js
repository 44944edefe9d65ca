// What stands between a share's link and its items: a password, or what readers of a sealed share show for its phrase
// (PROTOCOL.md, "Passwords"). Knows no share.

import { Refusal } from './refusal.js'

/** Rounds of PBKDF2 for a password: as many as Workers allow. */
const ROUNDS = 100_000

/** How long who has opened a lock need not do so again, in seconds. */
export const OPEN_FOR = 12 * 3600

const MAX_PASSWORD = 1024
const SECRET = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i

const BASE64URL = { alphabet: 'base64url', omitPadding: true }

const encoded = (text) => new TextEncoder().encode(text)
const randomBytes = (length) => crypto.getRandomValues(new Uint8Array(length))

/** Bytes that stand somewhere in base64url, when they are so many. */
export function decoded(text, length) {
  try {
    const bytes = Uint8Array.fromBase64(text, BASE64URL)
    // Padding, blanks and bits that mean nothing are read over: the one form of these bytes has none of them.
    return bytes.length === length && bytes.toBase64(BASE64URL) === text ? bytes : undefined
  } catch {
    return undefined
  }
}

/** A text as a password. */
export function passwordOf(text) {
  if (typeof text !== 'string' || !text.isWellFormed()) throw new Refusal('malformed', '`password` must be a string')
  if (text && encoded(text).length <= MAX_PASSWORD) return { password: text }
  throw new Refusal('malformed', `\`password\` must have 1 to ${MAX_PASSWORD} bytes`)
}

// Each lock has a key of its own, by which cookies are signed: another lock ends them, also one with the same password.

export async function lockByPassword({ password }) {
  const salted = { salt: randomBytes(16), rounds: ROUNDS }
  return { ...salted, hash: await derived(password, salted), key: randomBytes(32) }
}

/** By the SHA-256 of what is shown. */
export const lockByDoor = (hash) => ({ hash, key: randomBytes(32) })

async function derived(password, { salt, rounds }) {
  const key = await crypto.subtle.importKey('raw', encoded(password), 'PBKDF2', false, ['deriveBits'])
  const method = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: rounds }
  return new Uint8Array(await crypto.subtle.deriveBits(method, key, 256))
}

/** Whether what is shown is of the kind that opens a lock. */
export const fits = ({ salt }, { password }) => Boolean(salt) === (password !== undefined)

/** Whether it opens it, in constant time. */
export async function opens(lock, { password, door }) {
  const hash = lock.salt ? await derived(password, lock) : await crypto.subtle.digest('SHA-256', door)
  return isSame(hash, lock.hash)
}

/** Whether bytes of one length are the same, in constant time. */
export const isSame = (one, other) => crypto.subtle.timingSafeEqual(one, other)

/** A cookie's value, for who has opened a lock: when it ends, in milliseconds since 1970, and a MAC over that. */
export async function cookieFor(lock) {
  const end = Date.now() + OPEN_FOR * 1000
  const tag = await tagOf(lock, { cookie: end })
  return `${end}.${tag.toBase64(BASE64URL)}`
}

/** Whether one of these values is such a one. */
export async function isCookieOf(lock, values) {
  for (const value of values) {
    const [, end, text] = /^(\d+)\.([\w-]+)$/.exec(value) ?? []
    const tag = text && decoded(text, 32)
    if (tag && Date.now() < Number(end) && isSame(tag, await tagOf(lock, { cookie: Number(end) }))) return true
  }
  return false
}

/** A MAC over what opens a lock: what was right is known again by it. */
export const memoryOf = (lock, { password, door }) => tagOf(lock, { password, door: door?.toHex() })

async function tagOf({ key }, what) {
  const method = { name: 'HMAC', hash: 'SHA-256' }
  const hmac = await crypto.subtle.importKey('raw', key, method, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign(method, hmac, encoded(JSON.stringify(what))))
}

/** What a request shows: the share's secret, what opens its lock, or the values of cookies of a name. */
export function shownBy({ headers }, name) {
  const pairs = (headers.get('cookie') ?? '').split(';').map((pair) => pair.trim().split(/=(.*)/s))
  const cookies = pairs.filter(([known]) => known === name).map(([, value = '']) => value)
  const [, scheme, text] = /^(basic|bearer) +(\S+)$/i.exec(headers.get('authorization')?.trim() ?? '') ?? []
  if (scheme?.toLowerCase() === 'basic') return { cookies, key: keyOfBasic(text) }
  if (text && SECRET.test(text)) return { cookies, secret: text }
  const door = text && decoded(text, 32)
  return { cookies, key: door && { door } }
}

/** The password, whatever name stands before it. */
function keyOfBasic(text) {
  try {
    const pair = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.fromBase64(text))
    return passwordOf(/:(.*)$/s.exec(pair)?.[1])
  } catch {
    return undefined
  }
}
