// A unified diff as a table: one column or two, changed words marked, long ones cut.

import { el, whenNear } from '../dom.js'
import { count } from '../format.js'
import { highlight, languageOf } from '../highlight.js'
import { sideBySide } from '../settings.js'
import { strings } from '../strings.js'
import { diffWordsWithSpace, parsePatch } from '../vendor/diff.min.js'

const FIRST_ROWS = 60
// The height of a row, as the style sheet makes it.
const LINE_REM = 1.26

/** Lines that a diff adds and takes away. */
export function lineCounts(patch) {
  let added = 0
  let removed = 0
  for (const line of String(patch).split('\n')) {
    if (line.startsWith('+') && !line.startsWith('+++')) added += 1
    else if (line.startsWith('-') && !line.startsWith('---')) removed += 1
  }
  return { added, removed }
}

/**
 * A diff, of one file or several, as an element. Far from the screen its text stands in, as tall as what it stands for, so
 * that nothing jumps and find-in-page finds it.
 */
export function diffView(patch, path) {
  const lines = patch.split('\n')
  const plain = el('pre', { class: 'diff-plain', tabindex: '0' }, lines.slice(0, FIRST_ROWS).join('\n'))
  const view = el('div', { class: 'diffs' }, plain)
  plain.style.height = `${Math.min(lines.length, FIRST_ROWS) * LINE_REM + 2}rem`
  whenNear(view, () => {
    try {
      const files = parsePatch(patch).filter(({ hunks }) => hunks.length)
      if (files.length) view.replaceChildren(...files.map((file) => fileDiff(file, path)))
    } catch {
      // What is no diff is still a text.
      plain.textContent = patch
      plain.style.height = ''
    }
  })
  return view
}

function fileDiff(file, path) {
  const name = clean(file.newFileName) ?? clean(file.oldFileName) ?? path ?? ''
  const rows = rowsOf(file)
  const language = languageOf(name)
  const table = el('table', { class: 'diff', 'aria-label': name })
  const draw = (limit) => {
    table.replaceChildren(...(sideBySide() ? twoColumns(rows, limit, language) : oneColumn(rows, limit, language)))
  }
  const box = el('div', { class: 'diff-box' }, el('div', { class: 'diff-name', dir: 'auto' }, name), el('div', { class: 'diff-scroll', tabindex: '0', role: 'group', 'aria-label': name }, table))
  let limit = FIRST_ROWS
  draw(limit)
  if (rows.length > FIRST_ROWS) {
    const button = el('button', { class: 'more', type: 'button' }, strings.showAll(count(rows.length)))
    button.addEventListener('click', () => {
      limit = Infinity
      draw(limit)
      button.remove()
    })
    box.append(button)
  }
  box.addEventListener('redraw', () => draw(limit))
  return box
}

/** The rows of a diff: unchanged ones, and pairs of a removed and an added line. */
function rowsOf({ hunks }) {
  const rows = []
  for (const [at, hunk] of hunks.entries()) {
    if (at) rows.push({ kind: 'gap' })
    let oldLine = hunk.oldStart
    let newLine = hunk.newStart
    let removed = []
    let added = []
    const flush = () => {
      for (let n = 0; n < Math.max(removed.length, added.length); n++) rows.push({ kind: 'change', old: removed[n], new: added[n] })
      removed = []
      added = []
    }
    for (const line of hunk.lines) {
      const text = line.slice(1)
      if (line[0] === '-') removed.push({ number: oldLine++, text })
      else if (line[0] === '+') added.push({ number: newLine++, text })
      else if (line[0] === ' ' || line === '') {
        flush()
        rows.push({ kind: 'same', old: { number: oldLine++, text }, new: { number: newLine++, text } })
      }
    }
    flush()
  }
  return rows
}

function oneColumn(rows, limit, language) {
  const lines = []
  let run = []
  // Within a run of changes what went stands before what came.
  const flush = () => {
    lines.push(...run.filter(({ old }) => old).map((row) => line('removed', row.old, undefined, row.old, row.new, language)))
    lines.push(...run.filter((row) => row.new).map((row) => line('added', undefined, row.new, row.new, row.old, language)))
    run = []
  }
  for (const row of rows.slice(0, limit)) {
    if (row.kind === 'change') {
      run.push(row)
      continue
    }
    flush()
    lines.push(row.kind === 'gap' ? gap(4) : line('same', row.old, row.new, row.new, undefined, language))
  }
  flush()
  return lines
}

function line(kind, older, newer, shown, counterpart, language) {
  return el(
    'tr',
    { class: kind },
    el('td', { class: 'number' }, older ? String(older.number) : ''),
    el('td', { class: 'number' }, newer ? String(newer.number) : ''),
    el('td', { class: 'sign' }, kind === 'added' ? '+' : kind === 'removed' ? '−' : ''),
    el('td', { class: 'text' }, code(shown.text, counterpart?.text, kind, language)),
  )
}

function twoColumns(rows, limit, language) {
  return rows.slice(0, limit).map((row) => {
    if (row.kind === 'gap') return gap(4)
    const side = (cell, other, kind) => [
      el('td', { class: `number ${cell ? kind : 'none'}` }, cell ? String(cell.number) : ''),
      el('td', { class: `text ${cell ? kind : 'none'}` }, cell ? code(cell.text, row.kind === 'change' ? other?.text : undefined, kind, language) : ''),
    ]
    const changed = row.kind === 'change'
    return el('tr', { class: 'pair' }, ...side(row.old, row.new, changed ? 'removed' : 'same'), ...side(row.new, row.old, changed ? 'added' : 'same'))
  })
}

/** A line's code: with the words that differ from its counterpart marked, or else coloured. */
function code(text, counterpart, kind, language) {
  const node = el('code', { dir: 'auto' })
  if (counterpart !== undefined && text.length + counterpart.length < 2000) {
    const [older, newer] = kind === 'added' ? [counterpart, text] : [text, counterpart]
    const pieces = diffWordsWithSpace(older, newer).filter((piece) => (kind === 'added' ? !piece.removed : !piece.added))
    const marked = pieces.filter((piece) => piece.added || piece.removed)
    // Where nearly all differs, marks say nothing.
    if (marked.reduce((sum, { value }) => sum + value.length, 0) < text.length * 0.7) {
      node.append(...pieces.map((piece) => (piece.added || piece.removed ? el('mark', {}, piece.value) : piece.value)))
      return node
    }
  }
  node.textContent = text
  if (language && text.trim()) whenNear(node, () => highlight(node, language))
  return node
}

const gap = (columns) => el('tr', { class: 'gap' }, el('td', { colspan: String(columns) }, '⋯'))

const clean = (name) => (name && name !== '/dev/null' ? name.replace(/^[ab]\//, '') : undefined)
