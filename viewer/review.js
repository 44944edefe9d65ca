// All that the session changed in its files, as a room of its own: a tree of the files, and a box for each.

import { arrange, copyButton, el, guarded } from './dom.js'
import { icon } from './icons.js'
import { leavesOf, treeOf } from './load/tree.js'
import { strings } from './strings.js'
import { diffView } from './view/diff.js'
import { countsOf } from './view/frame.js'

const LETTERS = { added: 'A', modified: 'M', deleted: 'D' }

// Where this browser keeps which files a reader has seen, by the share.
const KEY = 'brutus-share-viewed'
// Shares of which that is kept.
const MAX_SHARES = 50

export class Review {
  #boxes = new Map()
  #shown = []
  #filter = ''
  #isOpen = false
  #viewed

  /** `changes` is what is shown, `link` makes the fragment of a place, `share` is the id of the share. */
  constructor(root, { changes, link, share }) {
    Object.assign(this, { root, changes, link, share })
    this.#viewed = new Map(Object.entries(stored()[share] ?? {}))
    this.heading = el('h1', { tabindex: '-1' }, strings.changes)
    this.summary = el('p', { class: 'review-sum' })
    this.note = el('p', { class: 'note', hidden: true }, strings.changesPartly)
    this.input = el('input', {
      ...{ type: 'search', placeholder: strings.filterFiles, 'aria-label': strings.filterFiles },
      oninput: () => this.#narrow(this.input.value),
    })
    this.tree = el('div', { class: 'tree' })
    this.files = el('div', { class: 'review-files' })
    this.side = el('nav', { class: 'review-side', 'aria-label': strings.files }, this.input, this.tree)
    root.append(el('header', { class: 'review-head' }, this.heading, this.summary, this.note), this.side, this.files)
  }

  /** Shows the room, and in it a file, when one is named. */
  open({ file }) {
    if (!this.#isOpen && file === undefined) scrollTo(0, 0)
    this.#isOpen = true
    this.root.hidden = false
    this.update()
    if (!this.root.contains(document.activeElement)) this.heading.focus({ preventScroll: true })
    const box = file !== undefined && this.#boxes.get(file)
    if (!box) return
    box.fold.open = true
    box.node.scrollIntoView({ block: 'start' })
    box.node.focus({ preventScroll: true })
  }

  close() {
    this.#isOpen = false
    this.root.hidden = true
  }

  /** Brings it up to date, when it is open. */
  update() {
    if (!this.#isOpen) return
    const { files, isWhole } = this.changes.read()
    const isSame =
      files.length === this.#shown.length && files.every(({ patch }, at) => patch === this.#shown[at].patch)
    this.note.hidden = isWhole || !files.length
    if (isSame && this.#shown.length) return
    this.#shown = files
    this.summary.replaceChildren(
      ...(files.length ? [strings.filesOf(files.length), ' ', ...countsOf(sumOf(files))] : [strings.changesNone]),
    )
    this.side.hidden = files.length < 2
    const most = Math.max(1, ...files.map(({ counts }) => counts.added + counts.removed))
    const tree = treeOf(files)
    this.tree.replaceChildren(this.#branch(tree, most))
    const known = this.#boxes
    this.#boxes = new Map()
    for (const entry of leavesOf(tree)) {
      const before = known.get(entry.file)
      this.#boxes.set(entry.file, before?.patch === entry.patch ? before : this.#box(entry, before))
    }
    arrange(
      this.files,
      [...this.#boxes.values()].map(({ node }) => node),
    )
    this.#narrow(this.#filter)
  }

  #branch(entries, most) {
    return el(
      'ul',
      {},
      entries.map(({ name, entries, entry }) =>
        entries
          ? el('li', { class: 'folder' }, el('span', { dir: 'auto' }, name), this.#branch(entries, most))
          : this.#leaf(name, entry, most),
      ),
    )
  }

  #leaf(name, { file, kind, counts }, most) {
    const share = Math.ceil(((counts.added + counts.removed) / most) * 5)
    const added = Math.round((counts.added / (counts.added + counts.removed || 1)) * share)
    const bar = Array.from({ length: 5 }, (_, at) => (at < added ? 'plus' : at < share ? 'minus' : 'none'))
    const link = el(
      'a',
      { href: this.link({ room: 'changes', file }), title: file },
      el('span', { class: `letter ${kind}`, title: strings.fileKinds[kind] }, LETTERS[kind]),
      el('span', { class: 'leaf', dir: 'auto' }, name),
      el('span', { class: 'counts' }, ...countsOf(counts)),
      el(
        'span',
        { class: 'bar', 'aria-hidden': 'true' },
        bar.map((kind) => el('i', { class: kind })),
      ),
    )
    return el('li', { dataset: { file } }, link)
  }

  #box({ file, kind, patch, counts, isNet, turns }, before) {
    const id = `${file}\n${counts.added}\n${counts.removed}`
    const isViewed = this.#viewed.get(file) === id
    const fold = el('details', { class: 'review-file', open: before ? before.fold.open : !isViewed })
    const body = el('div', { class: 'review-body' })
    const make = () => {
      if (body.firstChild) return
      const instead = () => el('p', { class: 'note' }, file)
      body.append(...[!isNet && el('p', { class: 'note' }, strings.notNet)].filter(Boolean))
      body.append(guarded(() => diffView(patch, file, patch, { isNamed: false }), instead))
    }
    const viewed = el('input', {
      ...{ type: 'checkbox', checked: isViewed },
      onchange: () => {
        this.#see(file, viewed.checked ? id : undefined)
        fold.open = !viewed.checked
      },
    })
    const where = turns.map(({ id, number }) => el('a', { href: this.link({ id }) }, String(number)))
    fold.append(
      el(
        'summary',
        {},
        icon('chevron'),
        el('span', { class: `letter ${kind}`, title: strings.fileKinds[kind] }, LETTERS[kind]),
        el('span', { class: 'file-name', dir: 'auto' }, file),
        el('span', { class: 'counts' }, ...countsOf(counts)),
      ),
      body,
    )
    fold.addEventListener('toggle', () => fold.open && make())
    if (fold.open) make()
    const node = el(
      'section',
      { class: 'review-box', tabindex: '-1', 'aria-label': file, dataset: { file } },
      fold,
      el(
        'div',
        { class: 'review-tools' },
        where.length > 0 &&
          el(
            'span',
            { class: 'made-in' },
            strings.madeIn(where.length),
            ' ',
            ...where.flatMap((a, at) => (at ? [', ', a] : [a])),
          ),
        el('label', {}, viewed, strings.viewed),
        copyButton(strings, file, strings.copyPath),
      ),
    )
    return { node, fold, patch }
  }

  #narrow(words) {
    this.#filter = words
    const sought = words.trim().toLowerCase()
    for (const node of this.root.querySelectorAll('[data-file]'))
      node.hidden = sought !== '' && !node.dataset.file.toLowerCase().includes(sought)
    for (const folder of this.tree.querySelectorAll('.folder'))
      folder.hidden = sought !== '' && !folder.querySelector('[data-file]:not([hidden])')
  }

  #see(file, id) {
    if (id) this.#viewed.set(file, id)
    else this.#viewed.delete(file)
    const { [this.share]: _, ...others } = stored()
    const kept = [...Object.entries(others).slice(1 - MAX_SHARES), [this.share, Object.fromEntries(this.#viewed)]]
    try {
      localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(kept)))
    } catch {
      // A browser that keeps nothing still shows the session.
    }
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {}
  } catch {
    return {}
  }
}

/** How many files these are, and how many lines were added to them and taken away. */
export const sumOf = (files) => ({
  count: files.length,
  added: files.reduce((sum, { counts }) => sum + counts.added, 0),
  removed: files.reduce((sum, { counts }) => sum + counts.removed, 0),
})
