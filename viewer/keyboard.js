// Keys, where nobody is writing; and the help that lists them.

import { el, iconButton } from './dom.js'
import { strings } from './strings.js'

const WITHOUT_TEXT = '[type=range], [type=checkbox], [type=radio]'

/** `actions` by key. */
export function listen(actions) {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    // What was closed a moment ago may have the focus until the next frame.
    if (event.target.closest?.(`input:not(${WITHOUT_TEXT}), textarea, select, dialog`)?.checkVisibility()) return
    const action = actions[event.key]
    if (!action) return
    event.preventDefault()
    action()
  })
}

export function showHelp() {
  const close = iconButton(strings.close, 'close')
  const dialog = el(
    'dialog',
    { class: 'help', 'aria-label': strings.help },
    el('header', {}, el('h2', {}, strings.help), close),
    el(
      'dl',
      {},
      strings.keys.flatMap(([keys, meaning]) => [
        el(
          'dt',
          {},
          keys.split(' / ').flatMap((key, at) => (at ? [' ', el('kbd', {}, key)] : [el('kbd', {}, key)])),
        ),
        el('dd', {}, meaning),
      ]),
    ),
  )
  close.addEventListener('click', () => dialog.close())
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}
