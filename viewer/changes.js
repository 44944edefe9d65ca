// All that the session changed in its files, in one view.

import { el, guarded } from './dom.js'
import { changesOf } from './load/changes.js'
import { strings } from './strings.js'
import { diffView } from './view/diff.js'

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
      el('span', { class: 'count' }, strings.files(changes.length)),
      close,
    ),
    el(
      'div',
      { class: 'sheet-body' },
      changes.length
        ? changes.flatMap(({ file, patches }) =>
            patches.map((patch) =>
              guarded(
                () => diffView(patch, file),
                () => el('p', { class: 'note' }, file),
              ),
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
