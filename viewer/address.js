// The fragment of the page's address: what of the session is looked at. Made and read here and nowhere else. Pure.

// Keys that a link carries stay in the address, wherever a reader goes.
const KEPT = /^(?:k1|o)=/

const piecesOf = (hash) => hash.replace(/^#/, '').split('&').filter(Boolean)

/**
 * What a fragment names: `{ room: 'changes', file }`, `{ room: 'playback', time }` in milliseconds since the session's
 * beginning, `{ search, options }`, `{ id }` of a message or a part; or nothing.
 */
export function readFragment(hash) {
  const place = piecesOf(hash)
    .filter((piece) => !KEPT.test(piece))
    .join('&')
  const [, file] = /^changes(?:\/(.+))?$/s.exec(place) ?? [undefined, null]
  if (file !== null) return { room: 'changes', file: file === undefined ? undefined : decoded(file) }
  if (place.startsWith('q=')) {
    const fields = new URLSearchParams(place)
    return { search: fields.get('q'), options: (fields.get('in') ?? '').split(',').filter(Boolean) }
  }
  if (/^t=\d+(?:\.\d+)?$/.test(place)) return { room: 'playback', time: Number(place.slice(2)) * 1000 }
  return place ? { id: decoded(place) } : {}
}

/** The fragment of a place, with what the address carries already. */
export function fragmentOf({ room, file, search, options = [], time, id }, hash = '') {
  const kept = piecesOf(hash).filter((piece) => KEPT.test(piece))
  let place = ''
  if (room === 'changes') place = file === undefined ? 'changes' : `changes/${file.split('/').map(encode).join('/')}`
  else if (search !== undefined)
    place = `q=${encode(search)}${options.length ? `&in=${options.map(encode).join()}` : ''}`
  // A second that has begun, so that nothing is left out that was seen by then.
  else if (room === 'playback') place = `t=${Math.ceil(time / 1000)}`
  else if (id !== undefined) place = encode(id)
  return `#${[...kept, place].filter(Boolean).join('&')}`
}

const encode = (text) => encodeURIComponent(text.toWellFormed())

function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
