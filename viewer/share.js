// Giving the session on: its link, a link to where the reader is, a quotation, its Markdown, its files, and into an
// agent.

import { copyText } from './clipboard.js'
import { copyButton, el, save } from './dom.js'
import { icon } from './icons.js'
import { menu } from './menus.js'
import { strings } from './strings.js'

const EMBED = document.querySelector('link[type="application/json+oembed"]')?.href

// Of files that the server makes, how their names end.
const FILES = { markdown: ['md', strings.downloadMarkdown], json: ['json', strings.downloadJson] }

// Characters of a quotation that a link looks for as they are; of a longer one its beginning and its end.
const MAX_EXACT = 80
const WORDS_AT_ENDS = 4

export class Share {
  /**
   * `base` and `id` are the address of the share; `here` gives the turn in which the reader is, `link` the fragment of
   * a place, and `html` saves the page. In a frame of another page there is a link to this one. Where the server cannot
   * read the session `own` makes its files here: `markdown(turn)` and `json()`.
   */
  constructor({ base, id, isEmbedded, here, link, html, own }) {
    Object.assign(this, { base, id, here, link, own })
    // OpenCode takes a link to the share's own address, not to this page's.
    this.command = el('code', {}, `opencode import ${base}share/${id}`)
    this.importing = el(
      'div',
      { class: 'import' },
      this.command,
      copyButton(strings, () => this.command.textContent),
    )
    if (own) this.importByLink()
    const action = (label, act) =>
      el('button', { type: 'button', onclick: ({ target }) => this.#do(target, act) }, label)
    this.menu = menu(
      strings.share,
      '',
      action(strings.copyShare, () => copyText(this.#address())),
      action(strings.copyHere, () => copyText(this.#address(here()))),
      action(strings.copyTurn, () => this.#copyMarkdown(here())),
      action(strings.copySession, () => this.#copyMarkdown()),
      navigator.share && action(strings.shareSheet, () => this.#sheet()),
      action(strings.qr, () => this.#showCode()),
      EMBED && !own && action(strings.copyFrame, () => this.#copyFrame()),
      el('hr'),
      ...['markdown', 'json'].map((kind) => {
        const [end, label] = FILES[kind]
        if (!own) return el('a', { href: `${base}s/${id}.${end}`, download: '' }, label)
        return el('button', { type: 'button', onclick: async () => save(`${id}.${end}`, await own[kind]()) }, label)
      }),
      el('button', { type: 'button', onclick: html }, strings.downloadHtml),
      el('hr'),
      el('h3', {}, strings.importInto),
      this.importing,
    )
    this.whole = isEmbedded && this.#whole()
    this.bubble = el(
      'button',
      { class: 'bubble', type: 'button', hidden: true, onclick: () => this.#quote() },
      icon('copy'),
      strings.copyQuote,
    )
    // The selection stays while the button is pressed.
    this.bubble.addEventListener('pointerdown', (event) => event.preventDefault())
    document.addEventListener('selectionchange', () => this.#offer())
  }

  /** Where a server lets nobody in by the address alone a program of ours takes the whole link, which it is given. */
  importByLink() {
    if (this.importing.querySelector('p')) return
    this.command.textContent = 'brutus-share import -'
    this.importing.append(el('p', { class: 'note' }, strings.importLink))
  }

  /** What can be done with a turn, as a sheet. */
  openTurn(turn) {
    const action = (label, act) =>
      el('button', { type: 'button', onclick: async () => (await act(), dialog.close()) }, label)
    const dialog = el(
      'dialog',
      { class: 'turn-sheet', 'aria-label': turn.label || strings.you },
      el('p', { class: 'note', dir: 'auto' }, turn.label),
      action(strings.copyHere, () => copyText(this.#address(turn))),
      action(strings.copyTurn, () => this.#copyMarkdown(turn)),
      navigator.share && action(strings.shareSheet, () => this.#sheet(turn)),
      el('button', { type: 'button', onclick: () => dialog.close() }, strings.close),
    )
    dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close())
    dialog.addEventListener('close', () => dialog.remove())
    document.body.append(dialog)
    dialog.showModal()
  }

  /** The address of a place. */
  addressOf(place) {
    const fragment = this.link(place)
    return `${this.base}s/${this.id}${fragment.length > 1 ? fragment : ''}`
  }

  #address(turn) {
    return this.addressOf(turn ? { id: turn.id } : {})
  }

  async #copyMarkdown(turn) {
    if (this.own) return copyText(await this.own.markdown(turn))
    const answer = await fetch(`${this.base}s/${this.id}.md?full=1${turn ? `&turn=${turn.number}` : ''}`)
    return answer.ok && copyText(await answer.text())
  }

  /** The system's own way of sharing. That somebody thought better of it is no fault. */
  #sheet(turn) {
    return navigator.share({ title: document.title, url: this.#address(turn) }).catch(() => undefined)
  }

  async #do(button, act) {
    const label = button.textContent
    if (!(await act())) return
    button.textContent = strings.copied
    setTimeout(() => (button.textContent = label), 1500)
  }

  /** Where other pages may show this one, the server says so in the page, and says how when it is asked. */
  async #copyFrame() {
    const answer = await fetch(`${this.base}oembed${new URL(EMBED).search}`)
    return answer.ok && copyText((await answer.json()).html)
  }

  #whole() {
    const label = { 'aria-label': strings.whole, title: strings.whole }
    const link = el('a', { class: 'icon', target: '_blank', ...label, href: this.#address() }, icon('open'))
    // It leads to where the reader is when it is pressed.
    link.addEventListener('click', () => (link.href = this.#address(this.here())))
    return link
  }

  async #showCode() {
    const { encode } = await import('./vendor/uqr.min.js')
    const { data, size } = encode(this.#address(), { ecc: 'M', border: 4 })
    const canvas = el('canvas', { width: String(size), height: String(size), role: 'img', 'aria-label': strings.qr })
    const pen = canvas.getContext('2d')
    pen.fillStyle = '#fff'
    pen.fillRect(0, 0, size, size)
    pen.fillStyle = '#000'
    data.forEach((row, y) => row.forEach((isDark, x) => isDark && pen.fillRect(x, y, 1, 1)))
    const dialog = el('dialog', { class: 'qr', 'aria-label': strings.qr }, canvas, el('code', {}, this.#address()))
    dialog.addEventListener('click', () => dialog.close())
    dialog.addEventListener('close', () => dialog.remove())
    document.body.append(dialog)
    dialog.showModal()
  }

  /** Offers to copy what is selected in a part, beside it. */
  #offer() {
    const { words, part, rect } = selected() ?? {}
    this.bubble.hidden = !words || !part
    if (this.bubble.hidden) return
    this.bubble.style.left = `${Math.min(Math.max(rect.left, 8), innerWidth - 200)}px`
    this.bubble.style.top = `${Math.min(Math.max(rect.bottom + 8, 60), innerHeight - 110)}px`
  }

  async #quote() {
    const { words, part } = selected() ?? {}
    if (!words) return
    const address = `${this.addressOf({ id: part.id })}:~:text=${textFragment(words)}`
    const quoted = words.replace(/^/gm, '> ')
    if (!(await copyText(`${quoted}\n\n${address}\n`))) return
    this.bubble.lastChild.data = strings.copied
    setTimeout(() => {
      this.bubble.lastChild.data = strings.copyQuote
      this.bubble.hidden = true
    }, 1200)
  }
}

/** What is selected, when it stands in one part or prompt. */
function selected() {
  const selection = getSelection()
  const words = selection.isCollapsed ? '' : selection.toString().trim()
  if (!words) return undefined
  const range = selection.getRangeAt(0)
  const holder = range.commonAncestorContainer
  const node = holder.nodeType === Node.ELEMENT_NODE ? holder : holder.parentElement
  const part = node?.closest('.part[id]') ?? node?.closest('.turn')
  return { words, part, rect: range.getBoundingClientRect() }
}

/** The words of a text as a browser looks for them (WICG Scroll To Text Fragment). */
export function textFragment(text) {
  const encode = (words) => encodeURIComponent(words.toWellFormed()).replaceAll('-', '%2D')
  const line = text.split('\n')[0].trim()
  const words = text.trim().split(/\s+/)
  if (line === text.trim() && line.length <= MAX_EXACT) return encode(line)
  const ends = [words.slice(0, WORDS_AT_ENDS), words.slice(-WORDS_AT_ENDS)]
  return ends.map((end) => encode(end.join(' '))).join(',')
}
