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
    for (const [old, newer] of pairs(this.#removed, this.#added)) this.rows.push({ kind: 'change', old, new: newer })
    this.#removed = []
    this.#added = []
  }
}

// Lines on both sides, multiplied, up to which it is sought which of them are alike.
const MAX_PAIRS = 900

// How much of their words two lines have in common that stand side by side.
const ALIKE = 0.4

/** Removed and added lines as `[[old, new]]`, in their order: those that are alike side by side, as many as can be. */
function pairs(removed, added) {
  const [rows, columns] = [removed.length, added.length]
  const isPlain = !rows || !columns || rows * columns > MAX_PAIRS || (rows === 1 && columns === 1)
  if (isPlain) return Array.from({ length: Math.max(rows, columns) }, (_, at) => [removed[at], added[at]])
  const words = (lines) => lines.map(({ text }) => new Set(text.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)))
  const [olds, news] = [words(removed), words(added)]
  // The best sum of likenesses from a pair of lines on.
  const best = Array.from({ length: rows + 1 }, () => new Float64Array(columns + 1))
  const likeness = olds.map((old) => news.map((newer) => likenessOf(old, newer)))
  for (let row = rows - 1; row >= 0; row--)
    for (let column = columns - 1; column >= 0; column--)
      best[row][column] = Math.max(
        best[row + 1][column],
        best[row][column + 1],
        likeness[row][column] >= ALIKE ? likeness[row][column] + best[row + 1][column + 1] : 0,
      )
  if (!best[0][0]) return Array.from({ length: Math.max(rows, columns) }, (_, at) => [removed[at], added[at]])
  const result = []
  for (let row = 0, column = 0; row < rows || column < columns;) {
    const like = likeness[row]?.[column] ?? 0
    const isPair = like >= ALIKE && best[row][column] === like + best[row + 1][column + 1]
    if (isPair) result.push([removed[row++], added[column++]])
    else if (row < rows && (column >= columns || best[row + 1][column] >= best[row][column + 1]))
      result.push([removed[row++], undefined])
    else result.push([undefined, added[column++]])
  }
  return result
}

function likenessOf(one, other) {
  let common = 0
  for (const word of one) if (other.has(word)) common += 1
  return (2 * common) / (one.size + other.size || 1)
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
