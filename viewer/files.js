// Files that are in a session as data URLs (RFC 2397). Pure.

// Pictures that browsers show, by the names that clients give them.
const PICTURES = {
  'image/png': 'image/png',
  'image/apng': 'image/apng',
  'image/jpeg': 'image/jpeg',
  'image/jpg': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/gif': 'image/gif',
  'image/webp': 'image/webp',
  'image/avif': 'image/avif',
  'image/bmp': 'image/bmp',
  'image/x-ms-bmp': 'image/bmp',
  'image/x-bmp': 'image/bmp',
  'image/x-icon': 'image/x-icon',
  'image/vnd.microsoft.icon': 'image/x-icon',
  'image/svg+xml': 'image/svg+xml',
}

// Parameters are few and short: a URL without a comma is not looked through to its end.
const HEAD = /^data:([^,;]{0,200})((?:;(?:[^,;"]|"[^"]{0,200}"){0,200}){0,20}?)(;base64)?,/i

/** The parts of a data URL; nothing when it is none. `type` is its media type in small letters. */
export function parseDataUrl(url) {
  const found = HEAD.exec(url)
  if (!found) return undefined
  const [head, type, parameters, base64] = found
  const charset = /;charset="?([\w.:-]+)"?/i.exec(parameters)?.[1]
  return { type: type.trim().toLowerCase(), charset, isBase64: Boolean(base64), body: url.slice(head.length) }
}

/**
 * The URL of a picture that is in the session itself, without what a stranger can say about it but its bytes. Nothing
 * when it is none, or of a kind that browsers do not show. `type` is what it is said to be elsewhere.
 */
export function pictureUrl(url, type = '') {
  const data = parseDataUrl(url)
  if (!data) return undefined
  const said = type.split(';')[0].trim().toLowerCase()
  const kind = pictures.get(data.type) ?? (isVague(data.type) ? pictures.get(said) : undefined)
  if (!kind) return undefined
  return data.isBase64 ? `data:${kind};base64,${data.body.replace(/\s+/g, '')}` : `data:${kind},${data.body}`
}
const pictures = new Map(Object.entries(PICTURES))

const isVague = (type) => type === '' || type === 'application/octet-stream' || type === 'text/plain'

/** The bytes of a data URL; nothing when they cannot be read. */
export function bytesOf(url) {
  const data = parseDataUrl(url)
  if (!data) return undefined
  try {
    if (!data.isBase64) return percentDecoded(data.body)
    const binary = atob(data.body.includes('%') ? decodeURIComponent(data.body) : data.body)
    const bytes = new Uint8Array(binary.length)
    for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at)
    return bytes
  } catch {
    return undefined
  }
}

function percentDecoded(text) {
  const encoded = new TextEncoder().encode(text)
  const bytes = new Uint8Array(encoded.length)
  let length = 0
  for (let at = 0; at < encoded.length; at++) {
    const hex = encoded[at] === 0x25 ? String.fromCharCode(encoded[at + 1], encoded[at + 2]) : ''
    const isEscape = /^[\da-f]{2}$/i.test(hex)
    bytes[length++] = isEscape ? parseInt(hex, 16) : encoded[at]
    if (isEscape) at += 2
  }
  return bytes.subarray(0, length)
}

const TEXT =
  /^(?:text\/|application\/(?:json|xml|javascript|x-sh|x-yaml|yaml|toml|sql)\b|[\w.+-]+\/[\w.-]+\+(?:json|xml)\b)/i

/** The text of a file that is one, `type` being what it is said to be; nothing when it is none. */
export function textOf(url, type = '') {
  const data = parseDataUrl(url)
  if (!data || !TEXT.test(isVague(data.type) && type ? type : data.type)) return undefined
  const bytes = bytesOf(url)
  if (!bytes) return undefined
  let decoder
  try {
    decoder = new TextDecoder(data.charset)
  } catch {
    decoder = new TextDecoder()
  }
  return decoder.decode(bytes)
}

/** A name under which a file may be saved, out of what a stranger says that it is called. */
export function fileName(said, fallback = 'file') {
  const name = said
    .split(/[\\/]/)
    .at(-1)
    .replace(/[\p{Cc}\p{Cf}<>:"|?*]/gu, '')
    .replace(/^[. ]+|[. ]+$/g, '')
  return name.slice(-120) || fallback
}
