// JSON as it came: finds where values stand in a text, so that what is kept keeps its bytes, which `JSON.parse` and
// `JSON.stringify` would not (`1.50`, large integers, names that stand twice).

import { Refusal } from './refusal.js'

/** Brackets that may stand open at once in a body. */
const MAX_NESTING = 127

const SPACE = /[ \t\r\n]*/y
const SCALAR = /[-+.\w]+/y
const BRACKET_OR_STRING = /["[\]{}]/g

/** What a text that is JSON means. */
export function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    throw broken()
  }
}

/** Refuses a text that nests too deep. */
export function checkNesting(text) {
  let depth = 0
  for (let at = next(text, 0); at < text.length; at = next(text, at)) {
    const sign = text[at]
    if (sign === '"') at = stringEnd(text, at)
    else {
      depth += sign === '{' || sign === '[' ? 1 : -1
      if (depth > MAX_NESTING) throw new Refusal('malformed', `the body nests deeper than ${MAX_NESTING} levels`)
      at += 1
    }
  }
}

/** The fields of an object as `[name, value]`, each value as it stands there; `undefined` when it is no object. */
export function fields(text) {
  if (text[skipSpace(text, 0)] !== '{') return undefined
  return [...entries(text, '}')]
}

/** The fields of a body, which has to be an object; of all but `later`, which is read piece by piece, each is JSON. */
export function fieldsOfBody(text, shape, later) {
  const given = fields(text)
  if (!given) throw new Refusal('malformed', `the body must be a JSON object ${shape}`)
  for (const [name, value] of given) if (name !== later) parse(value)
  return Object.fromEntries(given)
}

/** How many seconds a field asks for. */
export function secondsOf(text) {
  if (/^[1-9]\d{0,11}$/.test(text)) return Number(text)
  throw new Refusal('malformed', '`expiresIn` must be a whole number of seconds above zero')
}

/** The elements of an array as they stand there; `undefined` when it is no array. */
export function elements(text) {
  if (text[skipSpace(text, 0)] !== '[') return undefined
  return entries(text, ']').map(([, value]) => value)
}

/** An object of fields. */
export const object = (fields) => `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join()}}`

/** What stands between the brackets of an object or an array. Who uses a value parses it: here it only has an end. */
function* entries(text, close) {
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  let name
  for (let first = true; text[at] !== close || !first; first = false) {
    if (close === '}') {
      if (text[at] !== '"') throw broken()
      const end = stringEnd(text, at)
      name = parse(text.slice(at, end))
      at = skipSpace(text, end)
      if (text[at] !== ':') throw broken()
      at = skipSpace(text, at + 1)
    }
    const end = valueEnd(text, at)
    yield [name, text.slice(at, end)]
    at = skipSpace(text, end)
    if (text[at] === close) break
    if (text[at] !== ',') throw broken()
    at = skipSpace(text, at + 1)
  }
  if (skipSpace(text, at + 1) !== text.length) throw broken()
}

function valueEnd(text, at) {
  if (text[at] === '"') return stringEnd(text, at)
  if (text[at] !== '{' && text[at] !== '[') {
    SCALAR.lastIndex = at
    if (!SCALAR.test(text)) throw broken()
    return SCALAR.lastIndex
  }
  let depth = 0
  do {
    const sign = text[at]
    if (sign === '"') at = stringEnd(text, at)
    else {
      depth += sign === '{' || sign === '[' ? 1 : -1
      at += 1
    }
    if (depth) at = next(text, at)
    if (at >= text.length && depth) throw broken()
  } while (depth)
  return at
}

/** Where the next string begins, or bracket stands. */
function next(text, at) {
  BRACKET_OR_STRING.lastIndex = at
  return BRACKET_OR_STRING.exec(text)?.index ?? text.length
}

/** Behind the quote that ends the string at `at`: the first before which no odd number of backslashes stands. */
function stringEnd(text, at) {
  for (let end = text.indexOf('"', at + 1); end > 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text[end - 1 - backslashes] === '\\') backslashes += 1
    if (backslashes % 2 === 0) return end + 1
  }
  throw broken()
}

function skipSpace(text, at) {
  SPACE.lastIndex = at
  SPACE.test(text)
  return SPACE.lastIndex
}

const broken = () => new Refusal('malformed', 'the body is not valid JSON')
