// What parts of all kinds are made of: their frame with its link, lines that open, long texts, and files. And what
// stands in for a part that cannot be shown.

import { anchor, begin, copyButton, el, guarded, iconButton, inSlices, save, track, write } from '../dom.js'
import { bytesOf, fileName, parseDataUrl, pictureUrl, textOf } from '../files.js'
import { bytes, count } from '../format.js'
import { endOf, startOf, textPieces } from '../pieces.js'
import { safeLink } from '../sanitize.js'
import { opened } from '../settings.js'
import { strings } from '../strings.js'
import { isRecord, json, list, record, text } from '../values.js'

// Of a long text the start stands in.
export const STAND_IN_CHARACTERS = 20_000

// Lines of a long text that are shown at first.
const FIRST_LINES = 60
const FIRST_CHARACTERS = 12_000
// Lines of an output of which the end counts.
const LAST_LINES = 12

// Characters that are shown of a name.
const MAX_NAME = 200

/** The frame of a part: its kind, its link, its content. */
export function frame(part, kind, ...content) {
  return el('div', { class: `part part-${kind}`, id: part.id, dataset: { kind } }, anchor(strings, part.id), ...content)
}

/**
 * A part that opens: a line, and what is under it. The body is made when it is first opened; until then its text
 * stands in, so that find-in-page finds it, and browsers that open what they find do.
 */
export function folded(part, kind, summary, body, plain, open = opened(kind)) {
  const inner = el('div', { class: 'body' }, open ? '' : plain.slice(0, STAND_IN_CHARACTERS))
  const details = el('details', { class: 'fold' }, el('summary', {}, ...summary), inner)
  nameFold(details, summary)
  let made = false
  const make = () => {
    if (made) return
    made = true
    const content = guarded(body, () => output(json(part)))
    inner.replaceChildren(...[content].flat().filter(Boolean))
  }
  details.addEventListener('toggle', () => details.open && make())
  details.make = make
  details.open = open
  if (open) make()
  return { node: frame(part, kind, details), details }
}

// Characters of a fold's name.
const MAX_LABEL = 200

/** Gives a fold the name that its line says, without how it went: to who hears the page it is a group. */
export function nameFold(details, line) {
  const words = line.flatMap((node) => (node?.matches?.('.tool-meta') ? [] : (node?.textContent ?? node ?? [])))
  details.setAttribute('aria-label', words.join(' ').trim().slice(0, MAX_LABEL).toWellFormed())
}

const plainPainter = () => write

/** A text that may be long, as code. `copied` is what its button copies. */
export function output(content, painter = plainPainter, copied = content) {
  const [box, code] = outputBox(copied)
  const more = paintLong(code, content, startOf(content, FIRST_LINES, FIRST_CHARACTERS), painter)
  if (more) box.append(more)
  return box
}

/** The same, of which the end is what counts. */
export function outputEnd(content, painter = plainPainter) {
  const [box, code] = outputBox(content)
  const more = paintLong(code, content, endOf(content, LAST_LINES, FIRST_CHARACTERS), painter)
  if (more) box.prepend(more)
  return box
}

function outputBox(copied) {
  const code = el('code', { dir: 'auto' })
  const box = el('div', { class: 'code output' }, el('pre', { tabindex: '0' }, code), copyButton(strings, copied))
  return [box, code]
}

/**
 * Puts the start of a text into a node; gives a button for the rest, when there is one. `painter` gives what puts a
 * piece of the text into a node; it is called for one piece after the other, so that it can go on where it was.
 */
export function paintLong(node, content, start, painter = plainPainter) {
  painter()(node, start)
  if (start.length === content.length) return undefined
  const lines = lineCount(content)
  const label = lines > lineCount(start) ? strings.showAll(count(lines)) : strings.showWhole(bytes(content.length))
  const more = el('button', { class: 'more', type: 'button' }, label)
  more.show = (atOnce) => {
    const paint = painter()
    const pieces = textPieces(content)
    node.replaceChildren()
    more.remove()
    return track(
      inSlices(
        pieces,
        (text) => {
          // Each is laid out by itself, and only when it is near.
          const piece = pieces.length > 1 ? node.appendChild(el('span', { class: 'piece far' })) : node
          paint(piece, text)
        },
        atOnce,
      ),
    )
  }
  more.addEventListener('click', () => more.show())
  return more
}

/** A short text, said quietly. */
export const noteBox = (words) =>
  words.length > FIRST_CHARACTERS ? output(words) : el('p', { class: 'note' }, words.toWellFormed())

/** What an error says. */
export function errorBox(words) {
  if (words.length > FIRST_CHARACTERS) return output(words)
  return el('pre', { class: 'error-text', dir: 'auto' }, words.toWellFormed())
}

function lineCount(text) {
  let lines = text.endsWith('\n') ? 0 : 1
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}

/**
 * What stands in for a part that this page does not know, or cannot show: its type, its name, and its JSON on request.
 */
export function rawView(part) {
  const whole = json(part)
  const name = [part.tool, part.name, part.filename].find((name) => typeof name === 'string')
  const { node } = folded(
    part,
    'raw',
    [
      el('span', { class: 'tool-name', dir: 'auto' }, text(part.type) || strings.part),
      el('span', { class: 'tool-what', dir: 'auto' }, name),
      el('span', { class: 'tool-meta' }, strings.raw),
    ],
    () => output(whole),
    whole,
  )
  return { node, text: () => whole }
}

// Characters of a file's URL up to which its text is shown.
const MAX_TEXT_FILE = 2_000_000

/**
 * A file that is in the session: a picture, or a chip that says what it is, saves it, and shows it when it is a text.
 * What is no file at all is shown as it is.
 */
export function fileBody(part) {
  if (!isRecord(part)) return output(json(part))
  const url = typeof part.url === 'string' ? part.url : ''
  const kind = text(part.mime)
  const name = text(part.filename ?? record(part.source).path ?? part.mime).slice(0, MAX_NAME) || strings.file
  const source = pictureUrl(url, kind)
  if (source) return picture(source, name, () => fileChip(url, kind, name))
  const chip = fileChip(url, kind, name)
  const content = url.length <= MAX_TEXT_FILE ? textOf(url, kind) : undefined
  return content?.trim() ? el('div', { class: 'file-text' }, chip, output(content)) : chip
}

/** Whether a file is a picture that browsers show. */
export const isPicture = (file) =>
  isRecord(file) && typeof file.url === 'string' && pictureUrl(file.url, text(file.mime)) !== undefined

/** A picture that opens; when the browser cannot show it, what `instead` makes. */
function picture(source, name, instead) {
  const image = el('img', { src: source, alt: name, loading: 'lazy', decoding: 'async' })
  const button = el(
    'button',
    {
      class: 'picture',
      type: 'button',
      'aria-label': `${strings.image}: ${name}`,
      onclick: () => lightbox(button),
    },
    image,
  )
  button.picture = { source, name }
  image.addEventListener('error', () => button.replaceWith(instead()))
  return button
}

function fileChip(url, kind, name) {
  const isInside = parseDataUrl(url) !== undefined
  const label = [
    el('span', { class: 'chip-name', dir: 'auto' }, name),
    el('span', { class: 'chip-kind' }, kind.slice(0, MAX_NAME), isInside ? `, ${bytes((url.length * 3) / 4)}` : ''),
  ]
  if (isInside) {
    const chip = el('button', { class: 'chip', type: 'button', title: strings.save }, ...label)
    chip.file = { name: fileName(name), url }
    chip.addEventListener('click', () => save(chip.file.name, bytesOf(url) ?? url))
    return chip
  }
  const link = safeLink(url)
  return link
    ? el('a', { class: 'chip', href: link, target: '_blank', rel: 'noopener noreferrer nofollow' }, ...label)
    : el('span', { class: 'chip' }, ...label)
}

/** Whether a part shows a picture, or several. */
export const hasPictures = (part) => isPicture(part) || list(record(part.state).attachments).some(isPicture)

/** A picture on its own, from which one goes on to all others of the session. */
function lightbox(first) {
  for (const turn of document.querySelectorAll('.turn[data-lazy]:has(.pictured)')) begin(turn)
  const all = [...document.querySelectorAll('.picture')]
  let at = Math.max(0, all.indexOf(first))
  const image = el('img', { alt: '' })
  const name = el('span', { class: 'lightbox-name', dir: 'auto' })
  const show = (to) => {
    at = (to + all.length) % all.length
    const { source, name } = all[at].picture
    image.classList.remove('zoomed')
    Object.assign(image, { src: source, alt: name })
  }
  const dialog = el(
    'dialog',
    { class: 'lightbox', 'aria-label': strings.image },
    el(
      'header',
      {},
      name,
      iconButton(strings.previousPicture, 'chevron', () => show(at - 1), 'back'),
      iconButton(strings.nextPicture, 'chevron', () => show(at + 1)),
      iconButton(strings.save, 'down', () => save(fileName(all[at].picture.name), bytesOf(all[at].picture.source))),
      iconButton(strings.close, 'close', () => dialog.close()),
    ),
    el('div', { class: 'lightbox-view' }, image),
  )
  if (all.length < 2) for (const button of dialog.querySelectorAll('.icon:has(.sign-chevron)')) button.hidden = true
  image.addEventListener('load', () => {
    const size = `${image.naturalWidth} × ${image.naturalHeight}`
    const place = all.length > 1 ? `${at + 1} / ${all.length}` : ''
    name.textContent = [all[at].picture.name, size, place].filter(Boolean).join(' · ')
  })
  image.addEventListener('click', () => image.classList.toggle('zoomed'))
  dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close())
  dialog.addEventListener('keydown', ({ key }) => {
    if (key === 'ArrowLeft') show(at - 1)
    if (key === 'ArrowRight') show(at + 1)
  })
  dialog.addEventListener('close', () => {
    dialog.remove()
    all[at].scrollIntoView({ block: 'nearest' })
    all[at].focus({ preventScroll: true })
  })
  document.body.append(dialog)
  dialog.showModal()
  show(at)
}

/** How many lines were added and taken away. */
export const countsOf = ({ added, removed }) => [
  el('span', { class: 'good' }, `+${count(added)}`),
  ' ',
  el('span', { class: 'bad' }, `−${count(removed)}`),
]
