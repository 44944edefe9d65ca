// The order in which a session is read, the same as the server's (src/model/order.rs), and what an undo takes back
// from it. Pure.
//
// A message that answers another (`parentID`) stands behind it; the others stand by `time.created`, then by when they
// first came (`n`), then by id. Parts stand by when they first came. Ids say nothing of time: those of clients wrap,
// imported ones are random, and clocks of different machines differ.

import { record } from '../values.js'

/** What of a message's own item says where it stands: `created` in milliseconds since 1970, and whom it answers. */
export function standing(info) {
  const { time, role, parentID } = record(info)
  // A prompt answers nobody, whatever its client notes as its parent.
  const answers = role !== 'user' && typeof parentID === 'string' ? parentID : undefined
  return { created: instant(record(time).created), answers }
}

// RFC 3339 in UTC, as the server reads it: a space may stand for the T, and the Z may be left out.
const UTC = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(\.\d{1,9})?Z?$/

function instant(value) {
  if (Number.isFinite(value)) return value
  const parts = typeof value === 'string' ? UTC.exec(value) : null
  if (!parts) return undefined
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number)
  const ms = Date.UTC(year, month - 1, day, hour, minute, second)
  const isReal = ms >= 0 && new Date(ms).toISOString().startsWith(parts[0].slice(0, 10))
  return isReal ? ms + Number(parts[7] ?? 0) * 1000 : undefined
}

/** Messages, `[{ id, n, created, answers }]`, in the order in which they are read. */
export function readingOrder(messages) {
  const byArrival = [...messages].sort((one, other) => one.n - other.n || compare(one.id, other.id))
  // One without a time that can be read stands where it came in.
  let last = 0
  const timed = byArrival.map((message) => ({ message, at: (last = message.created ?? last) }))
  // Of the same time they stay as they came in.
  const byTime = timed.sort((one, other) => one.at - other.at).map(({ message }) => message)
  const byId = new Map(byTime.map((message) => [message.id, message]))
  const answers = new Map()
  const first = []
  for (const message of byTime) {
    const prompt = byId.get(message.answers)
    if (!prompt || prompt === message) first.push(message)
    else if (answers.has(prompt)) answers.get(prompt).push(message)
    else answers.set(prompt, [message])
  }
  const order = new Set()
  // Messages that answer each other in a circle come after all others, in their order.
  for (const start of [...first, ...byTime]) {
    const next = [start]
    while (next.length) {
      const message = next.pop()
      if (order.has(message)) continue
      order.add(message)
      next.push(...(answers.get(message) ?? []).toReversed())
    }
  }
  return [...order]
}

/** Parts, `[{ id, n }]`, in the order in which they are read. */
export const partOrder = (parts) => [...parts].sort((one, other) => one.n - other.n || compare(one.id, other.id))

/** How many messages, of those in reading order, an undo (`session.revert`) leaves. */
export function messagesLeft(revert, order) {
  const { messageID, partID } = record(revert)
  const place = typeof messageID === 'string' ? order.findIndex(({ id }) => id === messageID) : -1
  if (place < 0) return order.length
  return typeof partID === 'string' ? place + 1 : place
}

/** How many parts of a message, in reading order, an undo leaves. */
export function partsLeft(revert, message, parts) {
  const { messageID, partID } = record(revert)
  const place = message === messageID ? parts.findIndex(({ id }) => id === partID) : -1
  return place < 0 ? parts.length : place
}

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0)
