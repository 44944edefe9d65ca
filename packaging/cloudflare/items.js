// What is kept of a sync's items, and under which keys (PROTOCOL.md, "Items"). Pure.

import { elements, fields, object, parse } from './json.js'
import { Refusal } from './refusal.js'
import { isName, kept } from './sealed.js'

const MAX_TYPE = 64
const MAX_ID = 256
const MODEL_FIELDS = ['id', 'providerID', 'name', 'family', 'cost', 'limit']
const MAX_MODELS = 1000
const MAX_MODEL_BYTES = 1 << 20
const SEALED = '`v` a whole number from 1 to 2^53 - 1, `c` in base64url'

const encoder = new TextEncoder()

/** Bytes of a text in UTF-8. */
export const bytesOf = (text) => encoder.encode(text).length

/** What one `{type, data}` does: `{ key, data }` stores, `{ key }` takes away, `{ models }` adds to the list. */
export function changeOf(item, index, { maxItem, isOfSealed }) {
  const place = `data[${index}]`
  const given = Object.fromEntries(fields(item) ?? refuse(`\`${place}\` must be an object {type, data}`))
  if (given.type === undefined) refuse(`\`${place}.type\` is missing: expected a string`)
  if (given.data === undefined) refuse(`\`${place}.data\` is missing: expected a JSON value`)
  const type = parse(given.type)
  if (typeof type !== 'string') refuse(`\`${place}.type\` must be a string`)
  const { data } = given
  if (/^sealed(?:\.removed)?$/.test(type) !== isOfSealed) {
    const message = `${place}: a sealed share takes \`sealed\` and \`sealed.removed\` alone, and no other share does`
    throw new Refusal('sealed_mismatch', message)
  }
  if (data.length > maxItem || (data.length * 3 > maxItem && bytesOf(data) > maxItem)) {
    throw new Refusal('item_too_large', `${place} is larger than ${maxItem} bytes (max_item)`)
  }
  const value = parse(data)
  if (type.endsWith('.removed') && type !== '.removed')
    return { key: removedKey(type.slice(0, -8), data, value, place) }
  const key = keyOf(type, data, value, place)
  if (type === 'model') return { models: strippedModels(data, place) }
  if (type === 'sealed') return { key, data: kept(data) ?? refuse(`\`${place}.data\` must be {id, v, c}: ${SEALED}`) }
  return { key, data: stripped(type, data, value) }
}

/** The key of a message, or of a part's message. */
export const messageOf = (key) => /^(?:message|part)\/([^/]*)/.exec(key)?.[1]

export const isSealed = (key) => key.startsWith('sealed/')

/**
 * What stands before the keys of all that goes with an item: a message's parts, and what is sealed below another. A
 * part's message has no slash in its id.
 */
export function below(key) {
  if (isSealed(key)) return `${key}/`
  const [, id] = /^message\/([^/]*)$/.exec(key) ?? []
  return id === undefined ? undefined : `part/${id}/`
}

/** What of these stands before a key. */
export function above(key) {
  const [type, ...names] = key.split('/')
  if (type === 'part') return [`part/${names[0]}/`]
  return type === 'sealed' ? names.slice(1).map((_, at) => `sealed/${names.slice(0, at + 1).join('/')}/`) : []
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

function keyOf(type, data, value, place) {
  const known = ['session', 'message', 'part'].includes(type)
  if (known && !isObject(value)) refuse(`\`${place}.data\` must be an object`)
  switch (type) {
    case 'session':
      return type
    case 'message':
      return `message/${text(value.id, place, 'id')}`
    case 'part': {
      const message = text(value.messageID, place, 'messageID')
      if (message.includes('/')) refuse(`\`${place}.data.messageID\` must not contain a slash`)
      return `part/${message}/${text(value.id, place, 'id')}`
    }
    case 'sealed':
      if (typeof value?.id !== 'string' || !isName(value.id)) refuse(`\`${place}.data.id\` is no name of a sealed item`)
      return `sealed/${value.id}`
    case 'session_diff':
    case 'model':
      if (!Array.isArray(value)) refuse(`\`${place}.data\` must be an array for type \`${type}\``)
      return type
  }
  if (!/^[a-z0-9_.-]+$/.test(type) || type.length > MAX_TYPE) {
    refuse(`\`${place}.type\` must be 1 to ${MAX_TYPE} characters out of a-z, 0-9, \`_\`, \`.\` and \`-\``)
  }
  const name = type === 'messages' ? 'sessionID' : 'id'
  let id = isObject(value) ? value[name] : undefined
  // A number as it was written.
  if (typeof id === 'number') id = Object.fromEntries(fields(data))[name]
  return typeof id === 'string' ? `${type}/${checked(id, place, name)}` : type
}

function removedKey(type, data, value, place) {
  if (type !== 'session_diff' && type !== 'model') return keyOf(type, data, value, place)
  return isObject(value) ? type : refuse(`\`${place}.data\` must be an object`)
}

function text(id, place, name) {
  if (id === undefined || id === null) refuse(`\`${place}.data.${name}\` is missing`)
  if (typeof id !== 'string' || !id.isWellFormed()) refuse(`\`${place}.data.${name}\` must be a string`)
  return checked(id, place, name)
}

function checked(id, place, name) {
  // A cut surrogate pair cannot be stored.
  if (id && id.isWellFormed() && bytesOf(id) <= MAX_ID && !/\p{Cc}/u.test(id)) return id
  refuse(`\`${place}.data.${name}\` must have 1 to ${MAX_ID} bytes and no control characters`)
}

/** An item without what is private; all else keeps its bytes. */
function stripped(type, data, value) {
  if (type === 'session') return without(data, value, ['permission', 'metadata'])
  if (type === 'message' && value.role === 'user') return without(data, value, ['system'])
  const isSystem = (message) => message?.type === 'system'
  if (type !== 'messages' || !Array.isArray(value?.messages) || !value.messages.some(isSystem)) return data
  const kept = (list) => `[${[...elements(list)].filter((message) => !isSystem(parse(message))).join()}]`
  return object(fields(data).map(([name, raw]) => [name, name === 'messages' ? kept(raw) : raw]))
}

function without(data, value, names) {
  if (!names.some((name) => Object.hasOwn(value, name))) return data
  return object(fields(data).filter(([name]) => !names.includes(name)))
}

function strippedModels(data, place) {
  const models = [...elements(data)].map((model) => {
    const { id, providerID } = parse(model) ?? {}
    if (typeof id !== 'string' || typeof providerID !== 'string') {
      refuse(`\`${place}.data\` must be an array of models {id, providerID, …}`)
    }
    return object(fields(model).filter(([name]) => MODEL_FIELDS.includes(name)))
  })
  return `[${models.join()}]`
}

/** Lists of models as one, the oldest first: each once, the newest of each. Of too many the newest stay. */
export function mergedModels(lists) {
  const models = new Map()
  for (const model of lists.flatMap((list) => [...elements(list)])) {
    const { providerID, id } = JSON.parse(model)
    models.set(JSON.stringify([providerID, id]), model)
  }
  const kept = []
  let bytes = 0
  for (const model of [...models.values()].reverse().slice(0, MAX_MODELS)) {
    bytes += bytesOf(model)
    if (bytes > MAX_MODEL_BYTES) break
    kept.unshift(model)
  }
  return `[${kept.join()}]`
}

function refuse(message) {
  throw new Refusal('malformed', message)
}
