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
 * A text. A list of texts, or of blocks of text as model providers write them, is their texts; all else is shown as
 * JSON.
 */
export function text(value) {
  if (typeof value === 'string') return value
  if (value === undefined || value === null) return ''
  if (Array.isArray(value)) {
    const blocks = value.map((block) =>
      typeof block === 'string'
        ? block
        : block?.type === 'text' && typeof block.text === 'string'
          ? block.text
          : undefined,
    )
    if (!blocks.includes(undefined)) return blocks.join('\n')
  }
  return json(value)
}
