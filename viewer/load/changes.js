// All that a session changed in its files, one entry a file. Pure.

import { wholePatch } from '../view/rows.js'
import { isRecord, list, record, text } from '../values.js'
import { structuredPatch } from '../vendor/diff.min.js'

// Milliseconds that the difference of two texts may take. One that takes longer is all of the one, and all of the
// other.
const MAX_DIFF_MS = 100

/**
 * What a session changed, `[{ file, patches }]`: `patches` are texts, or make them. As the session itself says; else as
 * its turns say one after the other; else out of the edits that were made.
 */
export function changesOf(session) {
  for (const source of [ofSession, ofTurns, ofTools]) {
    const diffs = source(session)
    if (diffs.length) return byFile(diffs)
  }
  return []
}

const ofSession = (session) => diffsOf(session.diffs)

const ofTurns = (session) => session.ordered().flatMap(({ info }) => diffsOf(record(info.summary).diffs))

/** Diffs as OpenCode lists them, without those that say nothing. Older clients send the two texts of a file. */
function diffsOf(diffs) {
  return list(diffs)
    .filter(isRecord)
    .filter(({ patch, before, after }) => patch || before !== undefined || after !== undefined)
    .map((diff) => ({ file: text(diff.file), patch: diff.patch ? text(diff.patch) : () => patchOf(diff) }))
}

function ofTools(session) {
  const parts = session.ordered().flatMap((message) => session.partsOf(message))
  return parts
    .filter(({ type, state }) => type === 'tool' && record(state).status === 'completed')
    .flatMap((part) => ofTool(part.tool, record(part.state)))
    .filter(({ patch }) => typeof patch === 'function' || (typeof patch === 'string' && patch))
}

/** The changes that a call made. */
function ofTool(tool, state) {
  const [input, metadata] = [record(state.input), record(state.metadata)]
  const file = text(input.filePath)
  const files = list(metadata.files).map(record)
  if (files.some(({ patch, diff }) => patch || diff))
    return files.map(({ patch, diff, ...names }) => ({ file: nameOf(names), patch: patch ?? diff }))
  const patch = metadata.diff ?? record(metadata.filediff).patch
  // A file that was written whole, of which nothing says what it was before.
  if (!patch && tool === 'write' && typeof input.content === 'string')
    return [{ file, patch: () => wholePatch(file, '', input.content) }]
  return [{ file, patch }]
}

const nameOf = ({ relativePath, filePath, file, path }) => text(relativePath ?? filePath ?? file ?? path)

function byFile(diffs) {
  const files = new Map()
  for (const { file, patch } of diffs) {
    if (!files.has(file)) files.set(file, [])
    files.get(file).push(patch)
  }
  return [...files].map(([file, patches]) => ({ file, patches }))
}

/** The difference of two texts of a file. */
function patchOf(diff) {
  const file = text(diff.file)
  const [before, after] = [text(diff.before), text(diff.after)]
  const patch = structuredPatch(file, file, before, after, '', '', { timeout: MAX_DIFF_MS })
  if (!patch) return wholePatch(file, before, after)
  const lines = patch.hunks.flatMap((hunk) => [
    `@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`,
    ...hunk.lines,
  ])
  return [`--- ${file}`, `+++ ${file}`, ...lines, ''].join('\n')
}
