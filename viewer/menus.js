// Menus: a word or a sign that opens a list.

import { el, foldsWithin } from './dom.js'
import { set, settings, toggle } from './settings.js'
import { strings } from './strings.js'

export function menu(label, name, ...entries) {
  const details = el(
    'details',
    { class: 'menu' },
    el('summary', name ? { 'aria-label': name, title: name } : {}, label),
    el('div', { class: 'menu-body' }, ...entries),
  )
  addEventListener('click', ({ target }) => {
    if (!details.contains(target)) details.open = false
  })
  details.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !details.open) return
    // It closes this and nothing else.
    event.preventDefault()
    details.open = false
    details.firstChild.focus({ preventScroll: true })
  })
  details.addEventListener('keydown', (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    // Within a choice of one the arrows choose.
    if (!by || event.target.type === 'radio') return
    event.preventDefault()
    details.open = true
    const stops = [...details.querySelectorAll('summary, button, a, input')].filter((node) => node.checkVisibility())
    stops.at((stops.indexOf(event.target) + by) % stops.length).focus()
  })
  // Where the focus goes on from it, it is done with.
  details.addEventListener('focusout', ({ relatedTarget }) => {
    if (relatedTarget && !details.contains(relatedTarget)) details.open = false
  })
  return details
}

/** What is shown, and how. */
export function viewMenu(timeline, playItem) {
  const box = (label, checked, action) => {
    const input = el('input', { type: 'checkbox', checked, onchange: action })
    return el('label', {}, input, label)
  }
  const kinds = [
    ['prompt', strings.kinds.prompts],
    ['text', strings.kinds.answers],
    ['reasoning', strings.kinds.reasoning],
    ['tool', strings.kinds.tools],
    ['edit', strings.kinds.edits],
  ]
  const folding = kinds.filter(([kind]) => kind === 'reasoning' || kind === 'tool')
  const fold = (open, which) => foldAll(timeline, open, which)
  return menu(
    strings.view,
    '',
    el('h3', {}, strings.show),
    kinds.map(([kind, label]) => box(label, !settings.hidden.includes(kind), () => toggle('hidden', kind))),
    el('hr'),
    folding.map(([kind, label]) =>
      box(strings.openAlways(label.toLowerCase()), settings.open.includes(kind), ({ target }) => {
        toggle('open', kind)
        fold(target.checked, `.part-${kind} > details`)
      }),
    ),
    box(strings.sideBySide, settings.sideBySide === true, ({ target }) => {
      set('sideBySide', target.checked)
      for (const node of document.querySelectorAll('.diff-box')) node.dispatchEvent(new Event('redraw'))
    }),
    box(strings.wrap, settings.wrap, ({ target }) => set('wrap', target.checked)),
    box(strings.wide, settings.wide, ({ target }) => set('wide', target.checked)),
    el('hr'),
    playItem,
    el('button', { type: 'button', onclick: () => fold(true) }, strings.expandAll),
    el('button', { type: 'button', onclick: () => fold(false) }, strings.collapseAll),
    el('h3', { id: 'theme' }, strings.theme),
    el(
      'div',
      { class: 'choice', role: 'radiogroup', 'aria-labelledby': 'theme' },
      Object.entries(strings.themes).map(([value, label]) => {
        const input = el('input', { type: 'radio', name: 'theme', checked: settings.theme === value })
        input.addEventListener('change', () => set('theme', value))
        return el('label', {}, input, label)
      }),
    ),
  )
}

/** Opens or closes all parts of a timeline, or those that are named. */
export function foldAll(timeline, open, which = '.part > details') {
  timeline.draw()
  for (const details of foldsWithin(timeline.root, which)) {
    if (open) details.make?.()
    details.open = open
  }
}
