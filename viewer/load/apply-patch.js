// The patches that Codex writes (`*** Begin Patch`), and the commands that carry one, as unified diffs. Pure, linear.
// The server's Markdown reads them in the same way (src/model/tools/patch.rs).

import table from './tools-table.js'

const ADD = '*** Add File: '
const DELETE = '*** Delete File: '
const UPDATE = '*** Update File: '
const MOVE = '*** Move to: '

/**
 * The changes of a patch, `[{ file, patch }]`; none when it is not such a patch. Where the lines stand in their file is
 * not known: heads of hunks say `?`.
 */
export function changesOfPatch(text) {
  const changes = []
  let change
  let isOver = true
  for (const line of text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))) {
    if (line.startsWith('*** Begin Patch')) isOver = false
    else if (line.startsWith('*** End Patch')) isOver = true
    else if (isOver) continue
    else if (line.startsWith(ADD)) changes.push((change = new FileChange(undefined, line.slice(ADD.length))))
    else if (line.startsWith(DELETE)) changes.push((change = new FileChange(line.slice(DELETE.length), undefined)))
    else if (line.startsWith(UPDATE)) {
      const name = line.slice(UPDATE.length)
      changes.push((change = new FileChange(name, name)))
    } else if (line.startsWith(MOVE) && change) change.newer = line.slice(MOVE.length).trim()
    else if (line !== '*** End of File') change?.add(line)
  }
  return changes.map((change) => change.unified())
}

class FileChange {
  #lines = []
  #hunk

  /** The name of the file before, and after. */
  constructor(older, newer) {
    this.older = older?.trim()
    this.newer = newer?.trim()
  }

  add(line) {
    if (line.startsWith('@@')) {
      // Heads behind each other lead to one place, from the outside inwards.
      if (this.#hunk?.lines.length) this.#flush()
      this.#hunk ??= { about: '', old: 0, new: 0, lines: [] }
      this.#hunk.about += ` ${line.slice(2).trim()}`
      return
    }
    this.#hunk ??= { about: '', old: 0, new: 0, lines: [] }
    if (!line.startsWith('+')) this.#hunk.old += 1
    if (!line.startsWith('-')) this.#hunk.new += 1
    this.#hunk.lines.push(line)
  }

  #flush() {
    if (!this.#hunk) return
    const { about, old, new: newer, lines } = this.#hunk
    const ranges = this.older === undefined ? `-0,0 +1,${newer}` : `-?,${old} +?,${newer}`
    this.#lines.push(`@@ ${ranges} @@${about}`.trimEnd())
    for (const line of lines) this.#lines.push(line)
    this.#hunk = undefined
  }

  unified() {
    this.#flush()
    const heads = [`--- ${this.older ?? '/dev/null'}`, `+++ ${this.newer ?? '/dev/null'}`]
    return { file: this.newer ?? this.older, patch: [...heads, ...this.#lines, ''].join('\n') }
  }
}

// How a command begins that hands a patch over; what stands behind it names the end of the patch.
const HANDED = new RegExp(String.raw`^(?:cd ([^\s'"&;|]+) && )?${table.patcher}[ \t]*<<-?[ \t]*['"]?(\w+)['"]?[ \t]*\n`)

/** The patch that a shell's command is, and nothing beside it: `{ patch, directory }`. */
export function patchInCommand(command) {
  const script = command.trim()
  const [head, directory, end] = HANDED.exec(script) ?? []
  const closing = `\n${end}`
  if (head === undefined || !script.endsWith(closing) || script.length < head.length + closing.length) return undefined
  const patch = script.slice(head.length, -closing.length)
  // Words behind the end of the patch are commands of their own, and not to be hidden.
  return patch.includes(closing) ? undefined : { patch, directory }
}
