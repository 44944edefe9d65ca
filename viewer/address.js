// The fragment of the page's address: what of the session is looked at. Made and read here and nowhere else. Pure.

// What a link carries beside a place: the key of a sealed share, which stays in the address wherever a reader goes, and
// an owner's secret, which does not stay in it at all.
const [KEY, OWNER] = ['k1=', 'o=']

// Beside a key a place has a name, too.
const AT = 'at='

const piecesOf = (hash) => hash.replace(/^#/, '').split('&').filter(Boolean)

const valueOf = (hash, name) =>
  piecesOf(hash)
    .find((piece) => piece.startsWith(name))
    ?.slice(name.length)

/** The key that a fragment carries; nothing when it carries none. */
export const keyOf = (hash) => valueOf(hash, KEY)

/** The owner's secret that a fragment carries; nothing when it carries none. */
export const ownerOf = (hash) => valueOf(hash, OWNER)

/**
 * What a fragment names: `{ room: 'changes', file }`, `{ room: 'playback', time }` in milliseconds since the session's
 * beginning, `{ search, options }`, `{ id }` of a message or a part; or nothing.
 */
export function readFragment(hash) {
  const place = piecesOf(hash)
    .filter((piece) => !piece.startsWith(KEY) && !piece.startsWith(OWNER))
    .join('&')
  const [, file] = /^changes(?:\/(.+))?$/s.exec(place) ?? [undefined, null]
  if (file !== null) return { room: 'changes', file: file === undefined ? undefined : decoded(file) }
  if (place.startsWith('q=')) {
    const fields = new URLSearchParams(place)
    return { search: fields.get('q'), options: (fields.get('in') ?? '').split(',').filter(Boolean) }
  }
  if (/^t=\d+(?:\.\d+)?$/.test(place)) return { room: 'playback', time: Number(place.slice(2)) * 1000 }
  const id = place.startsWith(AT) ? place.slice(AT.length) : place
  return id ? { id: decoded(id) } : {}
}

/** The fragment of a place, with the key that the address carries already. */
export function fragmentOf({ room, file, search, options = [], time, id }, hash = '') {
  const key = keyOf(hash)
  let place = ''
  if (room === 'changes') place = file === undefined ? 'changes' : `changes/${file.split('/').map(encode).join('/')}`
  else if (search !== undefined)
    place = `q=${encode(search)}${options.length ? `&in=${options.map(encode).join()}` : ''}`
  // A second that has begun, so that nothing is left out that was seen by then.
  else if (room === 'playback') place = `t=${Math.ceil(time / 1000)}`
  else if (id !== undefined) place = key === undefined ? encode(id) : AT + encode(id)
  return `#${[key !== undefined && KEY + key, place].filter(Boolean).join('&')}`
}

const encode = (text) => encodeURIComponent(text.toWellFormed())

function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
