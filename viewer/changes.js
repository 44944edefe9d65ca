// All that the session changed in its files, in one view.

import { el, guarded } from './dom.js'
import { strings } from './strings.js'
import { isRecord, record, text } from './values.js'
import { diffView } from './view/diff.js'
import { wholePatch } from './view/rows.js'
import { structuredPatch } from './vendor/diff.min.js'

// Milliseconds that the difference of two texts may take. One that takes longer is all of the one, and all of the other.
const MAX_DIFF_MS = 100

/** The session's diffs: from its own list, or else gathered from its edits. `[{ file, patch }]`, where a
 * patch is its text, or what makes it. */
export function changesOf(session) {
  const own = (session.diffs ?? [])
    .filter(isRecord)
    .filter(({ patch, before, after }) => patch || before !== undefined || after !== undefined)
  if (own.length)
    return own.map((diff) => ({ file: text(diff.file), patch: diff.patch ? text(diff.patch) : () => patchOf(diff) }))
  const gathered = []
  for (const message of session.ordered()) {
    for (const part of session.partsOf(message)) {
      const { status, metadata, input } = record(part.state)
      if (part.type !== 'tool' || status !== 'completed') continue
      const patch = metadata?.diff ?? metadata?.filediff?.patch
      if (typeof patch === 'string' && patch) gathered.push({ file: text(record(input).filePath), patch })
    }
  }
  return gathered
}

/** Older clients send the two texts of a file in place of their difference. */
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

export function showChanges(session) {
  const changes = changesOf(session)
  const close = el('button', { type: 'button', class: 'icon', 'aria-label': strings.close, title: strings.close }, '×')
  const dialog = el(
    'dialog',
    { class: 'sheet', 'aria-label': strings.changes },
    el(
      'header',
      {},
      el('h2', {}, strings.changes),
      el('span', { class: 'count' }, strings.files(new Set(changes.map(({ file }) => file)).size)),
      close,
    ),
    el(
      'div',
      { class: 'sheet-body' },
      changes.length
        ? changes.map(({ file, patch }) =>
            guarded(
              () => diffView(patch, file),
              () => el('p', { class: 'note' }, file),
            ),
          )
        : el('p', { class: 'note' }, strings.changesNone),
    ),
  )
  close.addEventListener('click', () => dialog.close())
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}
