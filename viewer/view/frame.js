// What parts of all kinds are made of: their frame with its link, lines that open, and files.

import { el } from '../dom.js'
import { bytes } from '../format.js'
import { safeImage, safeLink } from '../sanitize.js'
import { opened } from '../settings.js'
import { strings } from '../strings.js'

// Of a long output the start stands in.
const STAND_IN_CHARACTERS = 20_000

/** The frame of a part: its kind, its link, its content. */
export function frame(part, kind, ...content) {
  const anchor = el('a', { class: 'anchor', href: `#${part.id}`, title: strings.copyLink, 'aria-label': strings.copyLink }, '#')
  anchor.addEventListener('click', () => navigator.clipboard?.writeText(new URL(`#${part.id}`, location.href).href))
  return el('div', { class: `part part-${kind}`, id: part.id, dataset: { kind } }, anchor, ...content)
}

/**
 * A part that opens: a line, and what is under it. The body is made when it is first opened; until then its text stands in,
 * so that find-in-page finds it, and browsers that open what they find do.
 */
export function folded(part, kind, summary, body, plain, open = opened(kind)) {
  const inner = el('div', { class: 'body' }, open ? '' : plain.slice(0, STAND_IN_CHARACTERS))
  const details = el('details', { class: 'fold' }, el('summary', {}, ...summary), inner)
  let made = false
  const make = () => {
    if (made) return
    made = true
    inner.replaceChildren(...[body()].flat().filter(Boolean))
  }
  details.addEventListener('toggle', () => details.open && make())
  details.make = make
  details.open = open
  if (open) make()
  return { node: frame(part, kind, details), details }
}

/** A file that is in the session: a picture, or a chip that says what it is. */
export function fileBody(part) {
  const name = part.filename ?? part.source?.path ?? part.mime
  const source = part.mime?.startsWith('image/') && safeImage(part.url)
  if (source) {
    const image = el('img', { src: source, alt: name, loading: 'lazy', decoding: 'async' })
    return el('button', { class: 'picture', type: 'button', 'aria-label': `${strings.image}: ${name}`, onclick: () => lightbox(source, name) }, image)
  }
  const inline = /^data:[^,]*,/.test(part.url ?? '')
  const label = [el('span', { class: 'chip-name', dir: 'auto' }, name), el('span', { class: 'chip-kind' }, part.mime ?? '', inline ? `, ${bytes((part.url.length * 3) / 4)}` : '')]
  const link = safeLink(part.url)
  return link ? el('a', { class: 'chip', href: link, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...label) : el('span', { class: 'chip' }, ...label)
}

function lightbox(source, name) {
  const dialog = el('dialog', { class: 'lightbox', 'aria-label': name }, el('img', { src: source, alt: name }))
  dialog.addEventListener('click', () => dialog.close())
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}
