// All that the session changed in its files, in one view.

import { el } from './dom.js'
import { strings } from './strings.js'
import { diffView } from './view/diff.js'
import { structuredPatch } from './vendor/diff.min.js'

/** The session's diffs: from its own list, or else gathered from its edits. `[{ file, patch }]` */
export function changesOf(session) {
  const own = (session.diffs ?? []).filter((diff) => diff.patch || diff.before !== undefined || diff.after !== undefined)
  if (own.length) return own.map((diff) => ({ file: diff.file ?? '', patch: diff.patch ?? patchOf(diff) }))
  const gathered = []
  for (const message of session.ordered()) {
    for (const { type, state } of session.partsOf(message)) {
      if (type !== 'tool' || state?.status !== 'completed') continue
      const patch = state.metadata?.diff ?? state.metadata?.filediff?.patch
      if (typeof patch === 'string' && patch) gathered.push({ file: state.input?.filePath ?? '', patch })
    }
  }
  return gathered
}

/** Older clients send the two texts of a file in place of their difference. */
function patchOf({ file = '', before = '', after = '' }) {
  const { hunks } = structuredPatch(file, file, before, after)
  const lines = hunks.flatMap((hunk) => [`@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`, ...hunk.lines])
  return [`--- ${file}`, `+++ ${file}`, ...lines, ''].join('\n')
}

export function showChanges(session) {
  const changes = changesOf(session)
  const close = el('button', { type: 'button', class: 'icon', 'aria-label': strings.close, title: strings.close }, '×')
  const dialog = el(
    'dialog',
    { class: 'sheet', 'aria-label': strings.changes },
    el('header', {}, el('h2', {}, strings.changes), el('span', { class: 'count' }, strings.files(new Set(changes.map(({ file }) => file)).size)), close),
    el('div', { class: 'sheet-body' }, changes.length ? changes.map(({ file, patch }) => diffView(patch, file)) : el('p', { class: 'note' }, strings.changesNone)),
  )
  close.addEventListener('click', () => dialog.close())
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}
