// Copying. On plain HTTP, but for this machine's own, browsers give a page no clipboard: there a selection is copied.

/** Copies a text; tells whether it could. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copySelection(text)
  }
}

function copySelection(text) {
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'visually-hidden'
  area.readOnly = true
  const focused = document.activeElement
  // Beside what has the focus: dialogs keep it within, and menus close when it leaves them.
  const isSomewhere = focused && focused !== document.body
  ;(isSomewhere ? focused.parentElement : document.body).append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  focused?.focus({ preventScroll: true })
  return done
}
