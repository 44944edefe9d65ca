// What a reader chose, kept in this browser: theme, widths, kinds that are hidden or stand open, diffs side by side.

const KEY = 'brutus-share'
export const settings = { theme: '', hidden: [], open: [], sideBySide: undefined, wrap: true, wide: false, ...stored() }

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {}
  } catch {
    return {}
  }
}

/** Changes a setting, keeps it, and shows it. */
export function set(name, value) {
  settings[name] = value
  try {
    localStorage.setItem(KEY, JSON.stringify(settings))
  } catch {
    // A browser that keeps nothing still shows the session.
  }
  show()
}

/** Puts the settings on the page. */
export function show() {
  const root = document.documentElement
  root.dataset.theme = settings.theme
  root.dataset.hidden = settings.hidden.join(' ')
  root.toggleAttribute('data-unwrapped', !settings.wrap)
  root.toggleAttribute('data-wide', Boolean(settings.wide))
}

/** Whether parts of a kind stand open by themselves. */
export const opened = (kind) => settings.open.includes(kind)

// Pixels of its box from which on a diff stands in two columns by itself.
const WIDE = 960

/** Whether a diff in a box of this width stands in two columns: as chosen, or by the width. */
export const sideBySide = (width) => settings.sideBySide ?? width >= WIDE

export function toggle(name, value) {
  set(
    name,
    settings[name].includes(value) ? settings[name].filter((other) => other !== value) : [...settings[name], value],
  )
}
