// All that a session changed in its files, one entry a file, with its net change where that can be known. Pure.

import { isRecord, list, number, text } from '../values.js'
import { netPatch } from './net.js'
import { filePatch } from './patch.js'
import { relativeTo } from './paths.js'
import { lineCounts } from './rows.js'
import { turnDiffs } from './turns.js'

export class Changes {
  #session
  #turns
  // What was found for a file, by its name, with what it was found of.
  #found = new Map()
  // What the session says, and what each turn did, by its id.
  #told = { steps: [] }
  #made = new Map()
  // What was given last, and what it was made of.
  #given = { of: [], changes: undefined }

  constructor(session, turns) {
    this.#session = session
    this.#turns = turns
  }

  /**
   * `{ files, isWhole }`. `files` are `[{ file, kind, patch, counts, isNet, turns }]`: `kind` is `added`, `modified` or
   * `deleted`; `turns` are those that changed it. `isWhole` says that the session told itself what it changed, and
   * nothing that only a command did is missing.
   *
   * As the session itself says; else as its turns say, and of those that say nothing out of their edits. The same
   * object as long as they say the same.
   */
  read() {
    const { diffs, directory } = this.#session
    if (this.#told.diffs !== diffs || this.#told.directory !== directory)
      this.#told = { diffs, directory, steps: diffsOf(diffs, directory) }
    const known = this.#made
    this.#made = new Map(this.#turns.all.map((turn) => [turn.id, madeBy(turn, directory, known.get(turn.id))]))
    const made = [...this.#made.values()].filter(({ steps, isWhole }) => steps.length || !isWhole)
    const of = [this.#told, ...made]
    if (!isSame(of, this.#given.of)) this.#given = { of, changes: this.#changes(this.#told.steps, made) }
    return this.#given.changes
  }

  #changes(told, made) {
    const byFile = new Map()
    for (const { turn, steps } of made) {
      for (const step of steps) {
        if (!byFile.has(step.file)) byFile.set(step.file, { steps: [], turns: [] })
        const entry = byFile.get(step.file)
        entry.steps.push(step)
        if (entry.turns.at(-1) !== turn) entry.turns.push(turn)
      }
    }
    const named = told.map((step) => [step.file, { steps: [step], turns: byFile.get(step.file)?.turns ?? [] }])
    const files = (told.length ? named : [...byFile]).flatMap(([file, entry]) => this.#entry(file, entry))
    return { files, isWhole: told.length > 0 || made.every(({ isWhole }) => isWhole) }
  }

  /** One file's change; none when nothing is left of it. */
  #entry(file, { steps, turns }) {
    const sources = steps.map(({ source }) => source)
    const known = this.#found.get(file)
    const found = known && isSame(sources, known.sources) ? known : { sources, ...netOf(file, steps) }
    this.#found.set(file, found)
    const { kind, patch, counts, isNet } = found
    return kind ? [{ file, kind, patch, counts, isNet, turns }] : []
  }
}

const isSame = (some, others) => some.length === others.length && some.every((one, at) => one === others[at])

/** What a turn did, `{ turn, steps, isWhole }`; what it was `known` to do, while that is the same. */
function madeBy(turn, directory, known) {
  const { version } = turn
  if (known?.turn === turn && known.version === version && known.directory === directory) return known
  const diffs = diffsOf(turnDiffs(turn.prompt, directory), directory)
  const { edits, commands } = turn.sum
  const steps = diffs.length ? diffs : edits.map(({ file, change }) => ({ ...change, file, source: change }))
  const isWhole = diffs.length > 0 || !commands
  const namesOf = (steps) => steps.flatMap(({ file, source }) => [file, source])
  if (known?.turn === turn && known.isWhole === isWhole && isSame(namesOf(steps), namesOf(known.steps)))
    return Object.assign(known, { version, directory })
  return { turn, version, directory, steps, isWhole }
}

/** Diffs as OpenCode lists them, without those that say nothing. Older clients send the two texts of a file. */
function diffsOf(diffs, directory) {
  return list(diffs)
    .filter(isRecord)
    .filter(({ patch, before, after }) => patch || before !== undefined || after !== undefined)
    .map((diff) => ({
      source: diff.source ?? diff,
      file: relativeTo(directory, text(diff.file)),
      patch: diff.patch ? text(diff.patch) : undefined,
      texts: diff.patch ? undefined : { before: text(diff.before), after: text(diff.after) },
      kind: KINDS.has(diff.status) ? diff.status : undefined,
      told: countsOf(diff),
    }))
}

const KINDS = new Set(['added', 'modified', 'deleted'])

const countsOf = ({ additions, deletions }) =>
  number(additions) === undefined ? undefined : { added: additions, removed: number(deletions) ?? 0 }

/** What the steps of a file come to: `{ kind, patch, counts, isNet }`; without a kind when they undo each other. */
function netOf(file, steps) {
  const texts = new Text()
  const isText = steps.every((step) => texts.take(step))
  if (isText && texts.isNew) {
    if (texts.content === undefined) return {}
    const patch = filePatch(file, '', texts.content)
    return { kind: 'added', patch, counts: lineCounts(patch), isNet: true }
  }
  const last = steps.at(-1)
  const patches = steps.map(patchOfStep)
  const kind = last.kind === 'deleted' || isDeletion(patches.at(-1)) ? 'deleted' : kindOf(steps[0], patches[0])
  if (steps.length === 1) {
    const counts = steps[0].told ?? steps[0].counts ?? lineCounts(patches[0])
    return { kind, patch: patches[0], counts, isNet: true }
  }
  const net = netPatch(file, patches)
  const isUndone = net && !net.counts.added && !net.counts.removed
  if (isUndone && !patches.some(isRename)) return {}
  if (net && !isUndone) return { kind, ...net, isNet: true }
  const counts = patches.map(lineCounts)
  const sum = (side) => counts.reduce((sum, counts) => sum + counts[side], 0)
  return {
    kind,
    patch: patches.map((patch) => patch.replace(/\n?$/, '\n')).join(''),
    counts: { added: sum('added'), removed: sum('removed') },
    isNet: false,
  }
}

/** The text of a file that the session made, for as long as every step of it can be followed. */
class Text {
  isNew = false
  content = undefined
  #isFirst = true

  take({ content, edits, exists }) {
    if (content !== undefined) {
      if (this.#isFirst) this.isNew = exists !== true
      this.content = content
    } else {
      if (this.#isFirst || !edits) return false
      for (const { before, after } of edits) {
        if (!before || !this.content.includes(before)) return false
        this.content = this.content.replace(before, () => after)
      }
    }
    this.#isFirst = false
    return this.isNew
  }
}

const patchOfStep = ({ file, patch, texts }) =>
  texts ? filePatch(file, texts.before, texts.after) : typeof patch === 'function' ? patch() : patch

const isDeletion = (patch) => /^\+\+\+ \/dev\/null/m.test(patch) || /^@@ -\d+(?:,\d+)? \+0,0 @@/m.test(patch)
const isRename = (patch) => {
  const [, from, to] = /^--- (?:a\/)?(.*)\n\+\+\+ (?:b\/)?(.*)$/m.exec(patch) ?? []
  return from !== to && from !== '/dev/null' && to !== '/dev/null'
}

function kindOf({ kind, content, exists }, patch) {
  if (kind) return kind === 'deleted' ? 'modified' : kind
  if (content !== undefined) return exists === true ? 'modified' : 'added'
  return /^--- \/dev\/null/m.test(patch) || /^@@ -0,0 /m.test(patch) ? 'added' : 'modified'
}
