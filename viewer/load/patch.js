// Patches out of what calls and sessions say of a file's text before and after. Pure, in a bounded time.

import { structuredPatch } from '../vendor/diff.min.js'

// Milliseconds that finding the differences of one change may take. What takes longer is all of the one text, and all
// of the other.
const MAX_DIFF_MS = 100

/** The text of a change of `tools.js`, as a patch. */
export function patchOf({ file, patch, edits, content }) {
  if (patch !== undefined) return patch
  if (content !== undefined) return wholePatch(file, '', content)
  const end = performance.now() + MAX_DIFF_MS
  const hunks = edits.flatMap(({ before, after }) => hunksOf(before, after, end, unknown))
  return patchText(file, hunks)
}

/** The same, without finding out what differs: all that was, and all that is. */
export function roughPatchOf({ file, patch, edits, content }) {
  if (patch !== undefined) return patch
  if (content !== undefined) return wholePatch(file, '', content)
  return patchText(
    file,
    edits.flatMap(({ before, after }) => wholeHunk(before, after, unknown)),
  )
}

/** The patch from one text of a file to another. */
export const filePatch = (file, before, after) =>
  patchText(file, hunksOf(before, after, performance.now() + MAX_DIFF_MS, String))

/** A patch from one text to another in which everything is another. */
export const wholePatch = (file, before, after) => patchText(file, wholeHunk(before, after))

function patchText(file, lines) {
  const name = file.replaceAll('\n', ' ')
  return [`--- ${name}`, `+++ ${name}`, ...lines, ''].join('\n')
}

/** Where a part of a file stands of which the rest is not known. */
const unknown = () => '?'

/** The lines of hunks; `start` says at which line of its file a line of these texts stands. */
function hunksOf(before, after, end, start) {
  const timeout = end - performance.now()
  const [older, newer] = [ended(before), ended(after)]
  const patch = timeout > 0 ? structuredPatch('', '', older, newer, '', '', { timeout }) : undefined
  // Without hunks they differ in nothing but their ends.
  if (!patch?.hunks.length) return wholeHunk(before, after, start)
  return patch.hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
    // Where there are no lines stands the number of the one before them.
    `@@ -${start(oldStart - (oldLines ? 0 : 1))},${oldLines} +${start(newStart - (newLines ? 0 : 1))},${newLines} @@`,
    ...lines,
  ])
}

/** A text whose last line ends as the others do: that it does not is no difference to a reader. */
const ended = (text) => (!text || text.endsWith('\n') ? text : `${text}\n`)

function wholeHunk(before, after, start = String) {
  const [removed, added] = [signed(before, '-'), signed(after, '+')]
  const range = (lines) => `${start(lines.length ? 1 : 0)},${lines.length}`
  return [`@@ -${range(removed)} +${range(added)} @@`, ...removed, ...added]
}

const signed = (text, sign) =>
  text
    ? text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => sign + line)
    : []
