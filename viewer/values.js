// A session is JSON from any client of any version, so the type of a field is never certain. These read a value as
// the type that is needed, and give something harmless where it is another.

/** A value under a name from outside, from a table of ours: never what every object inherits, like `constructor`. */
export const own = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined)

export const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** An object, or one without fields. */
export const record = (value) => (isRecord(value) ? value : {})

/** An array, or one without elements. */
export const list = (value) => (Array.isArray(value) ? value : [])

/** A number, or nothing. */
export const number = (value) => (Number.isFinite(value) ? value : undefined)

// The largest and smallest time that a `Date` can hold, in milliseconds (ECMA-262, 21.4.1.1).
const LAST_TIME = 8.64e15

/** A time in milliseconds since 1970: given so, or in ISO 8601. Nothing when it is no time. */
export function moment(value) {
  const ms = typeof value === 'string' ? Date.parse(value) : value
  return Number.isFinite(ms) && Math.abs(ms) <= LAST_TIME ? ms : undefined
}

// Beyond this many characters JSON is not indented: deep nesting would multiply its length.
const MAX_INDENTED = 100_000

/** Any value as JSON that people can read. */
export function json(value) {
  const plain = JSON.stringify(value) ?? ''
  return plain.length > MAX_INDENTED ? plain : (JSON.stringify(value, null, 2) ?? '')
}

/**
 * A text, or what is one but for its shape: a number, a list of texts, or of blocks of text as model providers write
 * them. Nothing when it is something else.
 */
export function plainText(value) {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (!Array.isArray(value)) return undefined
  const blocks = value.map((block) => (isRecord(block) && block.type === 'text' ? block.text : block))
  return blocks.every((block) => typeof block === 'string') ? blocks.join('\n') : undefined
}

/** Any value as a text: what is none as JSON, what is not there as nothing. */
export const text = (value) => (value === undefined || value === null ? '' : (plainText(value) ?? json(value)))
