// The rows of a diff, out of the text of a patch. Pure, linear, and lenient: what programs and people write as patches
// has wrong counts, no counts, or no heads at all, and is shown all the same.

// A `?` stands where nobody knows at which line.
const HUNK = /^@@ -(\d+|\?)(?:,(\d+))? \+(\d+|\?)(?:,(\d+))? @@/

// What stands between files.
const BETWEEN = new RegExp(
  '^(?:diff |index |Index: |={10}|new file mode |deleted file mode |old mode |new mode |similarity index |rename |' +
    'copy |Binary files )',
)

// What a line says of the one before it, wherever that is.
const NO_NEWLINE = '\\ No newline at end of file'

/**
 * The files of a patch: `[{ name, rows }]`. A row is `{ kind: 'same' | 'change', old, new }` with what stands at either
 * side, `{ number, text }`, numbers only where a head says them; or `{ kind: 'gap' }`. A file without rows `isDeleted`
 * or has another name now.
 */
export function filesOf(patch) {
  const files = []
  let file
  let hunk
  const begin = (older, newer) => {
    hunk?.flush()
    const isMoved = Boolean(older && newer && older !== newer)
    const name = isMoved ? `${older} → ${newer}` : (newer ?? older ?? '')
    file = { name, rows: [], isMoved, isDeleted: Boolean(older && !newer) }
    files.push(file)
    hunk = undefined
  }
  const lines = patch.split('\n')
  if (lines.at(-1) === '') lines.pop()
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at].endsWith('\r') ? lines[at].slice(0, -1) : lines[at]
    const next = lines[at + 1] ?? ''
    const head = HUNK.exec(line)
    const isHead = line.startsWith('--- ') && next.startsWith('+++ ')
    // Within a hunk a removed line may look like the head of a file; only when the hunk is over it is one.
    const isOver = !hunk?.left() || HUNK.test(lines[at + 2] ?? '')
    if (isHead && isOver) {
      begin(nameOf(line.slice(4)), nameOf(next.slice(4)))
      at += 1
    } else if (head || line.startsWith('@@')) {
      if (!file) begin()
      hunk?.flush()
      if (file.rows.length) file.rows.push({ kind: 'gap' })
      hunk = new Hunk(file.rows, head)
    } else if (line.startsWith(NO_NEWLINE)) {
      continue
    } else if (BETWEEN.test(line) && !hunk?.left()) {
      hunk?.flush()
      hunk = undefined
    } else {
      if (!file) begin()
      hunk ??= new Hunk(file.rows)
      hunk.add(line)
    }
  }
  hunk?.flush()
  return files.filter(({ rows, isMoved, isDeleted }) => rows.length || isMoved || isDeleted)
}

class Hunk {
  #removed = []
  #added = []

  constructor(rows, head) {
    this.rows = rows
    const [, oldStart, oldCount = 1, newStart, newCount = 1] = head ?? []
    this.old = startOf(oldStart)
    this.new = startOf(newStart)
    this.oldLeft = head ? Number(oldCount) : 0
    this.newLeft = head ? Number(newCount) : 0
  }

  /** Whether more lines are to come, by its head. */
  left() {
    return this.oldLeft > 0 || this.newLeft > 0
  }

  add(line) {
    const [sign, text] = [line[0], line.slice(1)]
    if (sign === '-') this.#removed.push(this.#older(text))
    else if (sign === '+') this.#added.push(this.#newer(text))
    else {
      this.flush()
      const words = sign === ' ' ? text : line
      this.rows.push({ kind: 'same', old: this.#older(words), new: this.#newer(words) })
    }
  }

  #older(text) {
    this.oldLeft -= 1
    return { number: this.old === undefined ? undefined : this.old++, text }
  }

  #newer(text) {
    this.newLeft -= 1
    return { number: this.new === undefined ? undefined : this.new++, text }
  }

  /** Sets removed and added lines side by side. */
  flush() {
    const count = Math.max(this.#removed.length, this.#added.length)
    for (let at = 0; at < count; at++) this.rows.push({ kind: 'change', old: this.#removed[at], new: this.#added[at] })
    this.#removed = []
    this.#added = []
  }
}

const startOf = (written) => (written === undefined || written === '?' ? undefined : Number(written))

/** The name of a file in the head of a patch; nothing for none. */
function nameOf(written) {
  const name = written.split('\t')[0].trim()
  return name && name !== '/dev/null' ? name.replace(/^[ab]\//, '') : undefined
}

/** How many lines a patch adds and takes away. */
export function lineCounts(patch) {
  let added = 0
  let removed = 0
  for (const { rows } of filesOf(patch)) {
    for (const { kind, old, new: newer } of rows) {
      if (kind !== 'change') continue
      if (old) removed += 1
      if (newer) added += 1
    }
  }
  return { added, removed }
}
