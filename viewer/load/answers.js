// Who answers: a share server, or something that stands in between (a router whose backend is away, a log-in page, a
// firewall). A share server is known by the shape of what it says, never by a status alone.

import { isRecord } from '../values.js'

// A refusal is short. What is longer is none of a share server's.
const MAX_REFUSAL_CHARACTERS = 64 << 10

/**
 * There is nothing more to be had: the share server says that the share is over for good (`state` is `deleted` or
 * `expired`), or what is needed to read it is not here (`keyless`, `wrongKey`, `unable`).
 */
export class Over extends Error {
  constructor(state) {
    super(`the share is over: ${state}`)
    this.state = state
  }
}

/** The share server wants a password, or what stands for a phrase. */
export class Locked extends Error {}

/**
 * The JSON that a share server answers a request with. Throws `Over` when it says that there is no such share, `Locked`
 * when it wants a password, and another error when anything else happens or answers. `alive` is called whenever
 * something of the answer has come.
 */
export async function ask(fetch, url, signal, alive) {
  // The share server itself redirects nothing.
  const answer = await fetch(url, { cache: 'no-store', redirect: 'error', signal })
  alive()
  const body = parsed(await read(answer, answer.status === 200 ? Infinity : MAX_REFUSAL_CHARACTERS, alive))
  if (answer.status === 200 && isRecord(body)) return body
  const refusal = isRecord(body?.error) ? `${answer.status} ${body.error.code}` : ''
  if (refusal === '404 no_such_share') throw new Over('deleted')
  if (refusal === '401 password_needed') throw new Locked('a password is needed')
  throw new Error(`no answer of a share server: status ${answer.status}`)
}

/** Sends a share server something as JSON. Gives its answer, or nothing where none comes. */
export async function send(url, method, body) {
  const headers = { 'content-type': 'application/json' }
  try {
    return await fetch(url, { method, headers, body: JSON.stringify(body), cache: 'no-store', redirect: 'error' })
  } catch {
    return undefined
  }
}

async function read(answer, max, alive) {
  if (!answer.body) return ''
  const reader = answer.body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    alive()
    text += decoder.decode(value, { stream: true })
    if (text.length > max) {
      await reader.cancel()
      return ''
    }
  }
}

/** A text as JSON; nothing when it is none. */
export function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isCount = (value) => Number.isSafeInteger(value) && value >= 0

const isOptionalCount = (value) => value === undefined || isCount(value)

const isAppend = (value) =>
  isRecord(value) &&
  typeof value.path === 'string' &&
  value.path.startsWith('/') &&
  isCount(value.at) &&
  typeof value.text === 'string'

const isItem = (value) =>
  isRecord(value) &&
  typeof value.key === 'string' &&
  (value.append === undefined ? value.data !== undefined && isOptionalCount(value.n) : isAppend(value.append))

/** Whether this is an `items` frame (PROTOCOL.md, "Live"). */
export function isItemsFrame(value) {
  return (
    isRecord(value) &&
    value.type === 'items' &&
    typeof value.epoch === 'string' &&
    value.epoch !== '' &&
    isCount(value.seq) &&
    isOptionalCount(value.from) &&
    typeof value.more === 'boolean' &&
    Array.isArray(value.items) &&
    value.items.every(isItem) &&
    Array.isArray(value.removed) &&
    value.removed.every((key) => typeof key === 'string')
  )
}

/** Whether this is a share's summary, as `GET /api/share/{id}` answers. */
export const isSummary = (value) => isRecord(value) && typeof value.id === 'string' && isCount(value.seq)
