// Shares whose items only their readers can open (PROTOCOL.md, "Sealed shares"): what is known of one, and of an item a
// blinded name, a version and a size. Pure.

import { fields, parse } from './json.js'
import { decoded } from './lock.js'

/** Of an item that stands alone, of one below it, or of a segment of one of these. */
const NAME = /^[\w-]{22}(?:\/[\w-]{22})?(?:\/(?:0|[1-9]\d{0,5}))?$/

/** What a client says of the seal, `{ sealed, hash }`, `hash` being that of its door; `undefined` when it is none. */
export function sealOf(text) {
  const { version, check = 'null', door = 'null' } = strictly(text, ['version', 'check', 'door']) ?? {}
  const hash = decoded(parse(door), 32)
  if (version !== '1' || !decoded(parse(check), 16) || (door !== 'null' && !hash)) return undefined
  return { sealed: { version: 1, check: parse(check) }, hash }
}

export const isName = (text) => NAME.test(text)

/** An item in the one form in which such are kept, its version near its beginning; `undefined` when it is none. */
export function kept(text) {
  const { id, v, c } = strictly(text, ['id', 'v', 'c']) ?? {}
  if (!id || !/^[1-9]\d{0,15}$/.test(v) || !Number.isSafeInteger(Number(v)) || !c) return undefined
  const content = parse(c)
  if (typeof content !== 'string' || !/^[\w-]+$/.test(content)) return undefined
  return `{"id":${JSON.stringify(parse(id))},"v":${v},"c":"${content}"}`
}

/** The version of an item that is kept, of which this is the beginning. */
export const versionOf = (beginning) => Number(/^\{"id":"[^"]*","v":(\d+),/.exec(beginning)?.[1] ?? 0)

/** The fields of an object that has none but these, and each once. */
function strictly(text, names) {
  const given = fields(text)
  const isStrict = given?.every(([name], at) => names.includes(name) && given.findIndex(([one]) => one === name) === at)
  return isStrict ? Object.fromEntries(given) : undefined
}
