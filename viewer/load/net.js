// Patches of one file, each made from what the one before it left, as one patch. Pure, and linear in the patches.
//
// The file is held as its lines are now: runs of lines that it had at first, by their numbers, and lines that were
// added. What was in the lines that it had at first is known where a patch shows them, and nowhere else.

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@/

// Lines that are shown around what changed.
const CONTEXT = 3

/**
 * The patch that these make together, `{ patch, counts }`; nothing when that cannot be known: when one has no numbers,
 * or does not fit what the one before it left.
 */
export function netPatch(file, patches) {
  const lines = new Lines()
  for (const patch of patches) if (!lines.apply(patch)) return undefined
  const blocks = lines.blocks()
  if (!blocks) return undefined
  const sum = (side) => blocks.reduce((sum, block) => sum + block[side].length, 0)
  return { patch: patchOf(file, blocks, lines.known), counts: { added: sum('added'), removed: sum('removed') } }
}

class Lines {
  // The text of lines that it had at first, by their numbers.
  known = new Map()
  // `{ first, count }`, lines that it had at first, or `{ added }`, the text of one that was added.
  #runs = [{ first: 1, count: Infinity }]
  #isFirst = true

  /** Takes a patch in; `false` when it does not fit. */
  apply(patch) {
    const steps = stepsOf(patch)
    if (!steps) return false
    // A patch that adds to nothing makes the file.
    if (this.#isFirst && steps[0].isNew && steps.every(({ sign }, at) => !at || sign === '+')) this.#runs = []
    this.#isFirst = false
    const reader = new Reader(this.#runs, this.known)
    let line = 1
    const result = []
    for (const { sign, at, text } of steps) {
      if (sign === '@') {
        if (at < line - 1) return false
        // Before lines of which there are none stands the line that they come behind.
        const count = at - line + 1
        if (!reader.take(count, result)) return false
        line += count
      } else if (sign === '+') result.push({ added: text })
      else {
        if (!reader.isNext(text)) return false
        reader.take(1, sign === ' ' ? result : [])
        line += 1
      }
    }
    reader.rest(result)
    this.#runs = result
    return true
  }

  /** What is different from what it had at first, `[{ old, new, removed, added }]`; nothing when a text is missing. */
  blocks() {
    const blocks = []
    let [old, line] = [1, 1]
    let added = []
    const flush = (until) => {
      const removed = []
      for (let at = old; at < until; at++) removed.push(this.known.get(at))
      let same = 0
      // What was taken away and came again is no change.
      while (same < Math.min(removed.length, added.length) && removed[same] === added[same]) same += 1
      const block = { old: old + same, new: line + same, removed: removed.slice(same), added: added.slice(same) }
      if (block.removed.length || block.added.length) blocks.push(block)
      old = until
      line += added.length
      added = []
      return !removed.includes(undefined)
    }
    for (const run of this.#runs) {
      if (run.added !== undefined) added.push(run.added)
      else {
        if (!flush(run.first)) return undefined
        old += run.count
        line += run.count
      }
    }
    // What stood at its end, if it ever had one, is not known to be gone.
    flush(old)
    return blocks
  }
}

/** Reads runs from their beginning. */
class Reader {
  #at = 0
  #used = 0

  constructor(runs, known) {
    Object.assign(this, { runs, known })
  }

  /** Whether the next line has, or may have, this text; it is known then. */
  isNext(text) {
    const run = this.runs[this.#at]
    if (!run) return false
    if (run.added !== undefined) return run.added === text
    const number = run.first + this.#used
    if (!this.known.has(number)) this.known.set(number, text)
    return this.known.get(number) === text
  }

  /** Takes lines over. */
  take(count, result) {
    for (let left = count; left > 0;) {
      const run = this.runs[this.#at]
      if (!run) return false
      const length = run.added === undefined ? Math.min(run.count - this.#used, left) : 1
      this.#give(run, length, result)
      left -= length
    }
    return true
  }

  rest(result) {
    while (this.#at < this.runs.length) {
      const run = this.runs[this.#at]
      this.#give(run, run.added === undefined ? run.count - this.#used : 1, result)
    }
  }

  #give(run, length, result) {
    if (run.added !== undefined) result.push(run)
    else {
      const first = run.first + this.#used
      const last = result.at(-1)
      if (last?.first !== undefined && last.first + last.count === first) last.count += length
      else result.push({ first, count: length })
      this.#used += length
      if (this.#used < run.count) return
    }
    this.#at += 1
    this.#used = 0
  }
}

/**
 * The lines of a patch, `[{ sign, text }]`, with `{ sign: '@', at, isNew }` where a hunk begins: behind how many lines,
 * and whether there are none in the file yet.
 */
function stepsOf(patch) {
  const steps = []
  let left = 0
  for (const line of patch.split('\n')) {
    const head = HUNK.exec(line)
    const sign = line[0]
    if (head) {
      const count = Number(head[2] ?? 1)
      steps.push({ sign: '@', at: Number(head[1]) - (count ? 1 : 0), isNew: !count && head[1] === '0' })
      left = Infinity
    } else if (line.startsWith('@@')) return undefined
    else if (left && (sign === ' ' || sign === '+' || sign === '-')) steps.push({ sign, text: line.slice(1) })
    else if (left && line === '') continue
    else if (sign !== '\\') left = 0
  }
  return steps.length ? steps : undefined
}

function patchOf(file, blocks, known) {
  const name = file.replaceAll('\n', ' ')
  const lines = [`--- ${name}`, `+++ ${name}`]
  let hunk
  const flush = () => {
    if (!hunk) return
    const { old, line, text } = hunk
    const count = (signs) => text.filter(([sign]) => signs.includes(sign)).length
    const range = (start, count) => `${count ? start : start - 1},${count}`
    lines.push(`@@ -${range(old, count(' -'))} +${range(line, count(' +'))} @@`, ...text)
    hunk = undefined
  }
  blocks.forEach(({ old, new: line, removed, added }, at) => {
    const next = blocks[at + 1]?.old ?? Infinity
    const before = []
    for (let number = old - 1; !hunk && before.length < CONTEXT && known.has(number); number--)
      before.unshift(` ${known.get(number)}`)
    hunk ??= { old: old - before.length, line: line - before.length, text: before }
    for (const text of removed) hunk.text.push(`-${text}`)
    for (const text of added) hunk.text.push(`+${text}`)
    // What lies between is shown when it is known and no longer than what would be shown of it at both ends.
    const after = old + removed.length
    const end = Math.min(next, after + (next - after <= 2 * CONTEXT ? 2 * CONTEXT : CONTEXT))
    let number = after
    for (; number < end && known.has(number); number++) hunk.text.push(` ${known.get(number)}`)
    if (number < next || next === Infinity) flush()
  })
  flush()
  return [...lines, ''].join('\n')
}
