// All that a session changed in its files, one entry a file, with its net change where that can be known. Pure.

import { isRecord, list, number, record, text } from '../values.js'
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

  constructor(session, turns) {
    this.#session = session
    this.#turns = turns
  }

  /**
   * `{ files, isWhole }`. `files` are `[{ file, kind, patch, counts, isNet, turns }]`: `kind` is `added`, `modified` or
   * `deleted`; `turns` are those that changed it. `isWhole` says that the session told itself what it changed, and
   * nothing that only a command did is missing.
   *
   * As the session itself says; else as its turns say, and of those that say nothing out of their edits.
   */
  read() {
    const { directory } = this.#session
    const own = diffsOf(this.#session.diffs, directory)
    const made = new Map()
    let isWhole = true
    for (const turn of this.#turns.all) {
      const diffs = diffsOf(turnDiffs(turn.prompt, directory), directory)
      const { edits, commands } = turn.sum
      if (!diffs.length && commands) isWhole = false
      for (const step of diffs.length ? diffs : edits.map(({ file, change }) => ({ ...change, file, change }))) {
        if (!made.has(step.file)) made.set(step.file, { steps: [], turns: [] })
        const { steps, turns } = made.get(step.file)
        steps.push(step)
        if (turns.at(-1) !== turn) turns.push(turn)
      }
    }
    if (!own.length) return { files: [...made].flatMap(([file, entry]) => this.#entry(file, entry)), isWhole }
    const named = own.map((step) => [step.file, { steps: [step], turns: made.get(step.file)?.turns ?? [] }])
    return { files: named.flatMap(([file, entry]) => this.#entry(file, entry)), isWhole: true }
  }

  /** One file's change; none when nothing is left of it. */
  #entry(file, { steps, turns }) {
    const sources = steps.map(({ source, change }) => source ?? change)
    const known = this.#found.get(file)
    const isSame = known?.sources.length === sources.length && sources.every((one, at) => one === known.sources[at])
    const found = isSame ? known : { sources, ...netOf(file, steps) }
    this.#found.set(file, found)
    const { kind, patch, counts, isNet } = found
    return kind ? [{ file, kind, patch, counts, isNet, turns }] : []
  }
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
