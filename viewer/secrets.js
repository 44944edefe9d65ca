// What was hidden in a session before it was sent: in its place stands `[redacted:KIND-N]`. Pure, linear in the text.

const MARK = '[redacted:'
const PLACEHOLDER = /\[redacted:([a-z0-9-]{1,40})-(\d{1,9})\]/g

// Characters of the longest placeholder.
const LONGEST = MARK.length + 40 + '-'.length + 9 + ']'.length

/** The pieces of a text, `[{ text, secret }]`: `secret` is what a placeholder says that it hides, "github token 1". */
export function piecesOf(text) {
  if (!text.includes(MARK)) return [{ text }]
  const pieces = []
  let from = 0
  for (const { 0: placeholder, 1: kind, 2: number, index } of text.matchAll(PLACEHOLDER)) {
    if (index > from) pieces.push({ text: text.slice(from, index) })
    pieces.push({ text: placeholder, secret: `${kind.replaceAll('-', ' ')} ${number}` })
    from = index + placeholder.length
  }
  if (from < text.length) pieces.push({ text: text.slice(from) })
  return pieces
}

/**
 * Runs of text, `[{ text, classes }]`, in which a placeholder is a run of its own, whatever runs it was parted into:
 * `[{ text, classes, secret }]`.
 */
export function runsWithSecrets(runs) {
  const whole = runs.map(({ text }) => text).join('')
  if (!whole.includes(MARK)) return runs
  const parted = []
  let at = 0
  let [run, left] = [0, runs[0]?.text.length ?? 0]
  for (const { text, secret } of piecesOf(whole)) {
    if (secret) parted.push({ text, secret, classes: '' })
    for (const end = at + text.length; at < end;) {
      while (!left) left = runs[(run += 1)].text.length
      const length = Math.min(left, end - at)
      if (!secret) parted.push({ ...runs[run], text: whole.slice(at, at + length) })
      at += length
      left -= length
    }
  }
  return parted
}

/** The placeholders in a value, however deep, each once. */
export function placeholdersIn(value) {
  const found = new Set()
  const left = [value]
  while (left.length) {
    const next = left.pop()
    if (typeof next === 'string') {
      if (next.includes(MARK)) for (const [placeholder] of next.matchAll(PLACEHOLDER)) found.add(placeholder)
    } else if (typeof next === 'object' && next !== null) {
      for (const [key, inner] of Object.entries(next)) {
        if (!Array.isArray(next)) left.push(key)
        left.push(inner)
      }
    }
  }
  return found
}

/** How many different placeholders there are in items, which come, change and go by their keys. */
export class Hidden {
  #ofItems = new Map()
  #items = new Map()

  get count() {
    return this.#items.size
  }

  /** An item is this now. */
  put(key, data) {
    this.#set(key, placeholdersIn(data))
  }

  /** To the end of a text of an item this was added. */
  append(key, before, added) {
    const found = placeholdersIn(before.slice(-LONGEST) + added)
    if (found.size) this.#set(key, new Set([...found, ...(this.#ofItems.get(key) ?? [])]))
  }

  remove(key) {
    this.#set(key, new Set())
  }

  #set(key, found) {
    const known = this.#ofItems.get(key) ?? new Set()
    for (const one of found) if (!known.has(one)) this.#items.set(one, (this.#items.get(one) ?? 0) + 1)
    for (const one of known) {
      if (found.has(one)) continue
      const count = this.#items.get(one) - 1
      if (count) this.#items.set(one, count)
      else this.#items.delete(one)
    }
    if (found.size) this.#ofItems.set(key, found)
    else this.#ofItems.delete(key)
  }
}
