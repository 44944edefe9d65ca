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
  // What lies over the page keeps everything else from the focus.
  const root = focused?.closest('dialog') ?? document.body
  root.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  focused?.focus({ preventScroll: true })
  return done
}
