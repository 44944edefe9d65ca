// Calls by their parts, read once each: a part that changes is another object. Pure.

import { record } from '../values.js'
import { patchOf } from './patch.js'
import { lineCounts } from './rows.js'
import { callOf } from './tools.js'

const calls = new WeakMap()

/** What a tool's part says, as `callOf` has it; `changes` are counted. */
export function readCall(part) {
  let call = calls.get(part)
  if (!call) {
    call = callOf(part)
    call.changes = countedChanges(call.changes, record(record(part.state).metadata))
    calls.set(part, call)
  }
  return call
}

// Of which nothing is known.
const UNKNOWN = { changes: [] }

/** The call that a part is; of another, or one that cannot be read, nothing is known. */
export function callIn(part) {
  try {
    return part.type === 'tool' ? readCall(part) : UNKNOWN
  } catch {
    return UNKNOWN
  }
}

// Characters of old and new texts up to which their difference is found at once, to be counted.
const MAX_AT_ONCE = 20_000

/** Changes with their patches, or what makes them; and how many lines each adds and takes away, where that is known. */
const countedChanges = (changes, { exists }) =>
  changes.map((change) => {
    const { patch, edits, content } = change
    if (patch !== undefined) return { ...change, counts: lineCounts(patch) }
    const lazy = { ...change, patch: () => patchOf(change) }
    // Of a file that was there before nobody knows what was added.
    if (content !== undefined)
      return exists === true ? { ...lazy, exists } : { ...lazy, counts: { added: lines(content), removed: 0 } }
    const size = edits.reduce((sum, { before, after }) => sum + before.length + after.length, 0)
    return size > MAX_AT_ONCE ? lazy : { ...lazy, counts: lineCounts(patchOf(change)) }
  })

function lines(content) {
  let count = content && !content.endsWith('\n') ? 1 : 0
  for (let at = content.indexOf('\n'); at >= 0; at = content.indexOf('\n', at + 1)) count += 1
  return count
}
