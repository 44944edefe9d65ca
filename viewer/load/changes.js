// All that a session changed in its files, one entry a file. Pure.

import { isRecord, list, record, text } from '../values.js'
import { filePatch, patchOf } from './patch.js'
import { callOf } from './tools.js'

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
    .map(({ file, patch, before, after }) => ({
      file: text(file),
      patch: patch ? text(patch) : () => filePatch(text(file), text(before), text(after)),
    }))
}

/** Subagents work in the same files. */
function ofTools(session) {
  const parts = [...session.withSubagents()].flatMap((message) => session.partsOf(message))
  return parts
    .filter(({ type, state }) => type === 'tool' && record(state).status === 'completed')
    .map(callOf)
    .filter(({ failed }) => !failed)
    .flatMap(({ changes }) => changes)
    .map((change) => ({ file: change.file, patch: change.patch ?? (() => patchOf(change)) }))
}

function byFile(diffs) {
  const files = new Map()
  for (const { file, patch } of diffs) {
    if (!files.has(file)) files.set(file, [])
    files.get(file).push(patch)
  }
  return [...files].map(([file, patches]) => ({ file, patches }))
}
