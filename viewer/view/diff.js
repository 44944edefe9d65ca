// A unified diff as a table: one column or two, changed words marked, long ones cut.

import { el, inSlices, spans, track, whenNear, write } from '../dom.js'
import { count } from '../format.js'
import { highlight, languageOf } from '../highlight.js'
import { relativeTo } from '../load/paths.js'
import { startOf } from '../pieces.js'
import { sideBySide } from '../settings.js'
import { strings } from '../strings.js'
import { diffWordsWithSpace } from '../vendor/diff.min.js'
import { output } from './frame.js'
import { filesOf } from '../load/rows.js'

const FIRST_ROWS = 60
// Of a diff far from the screen so much of its start stands in.
const STAND_IN_CHARACTERS = 20_000
// Rows of one table. A long diff is several, each laid out by itself, and only when it is near.
const TABLE_ROWS = 200
// The height of a row, as the style sheet makes it.
const LINE_REM = 1.26
// A longer patch is shown as the text that it is.
const MAX_PATCH = 4_000_000

// What the words of two lines may cost: characters of both, words that differ, and milliseconds.
const MAX_WORDS_IN = 2000
const WORDS = { maxEditLength: 300, timeout: 50 }

/**
 * A diff, of one file or several, as an element. `patch` is its text, or what makes it. Far from the screen the start
 * of its text, or of `standIn`, stands in, as tall as what it stands for: nothing jumps, and find-in-page finds it.
 * `head` says how the name of a file stands above it: not at all unless `isNamed`, with what `beside` makes beside it.
 */
export function diffView(patch, path, standIn = typeof patch === 'string' ? patch : '', head = {}) {
  const start = startOf(standIn, FIRST_ROWS, STAND_IN_CHARACTERS).split('\n')
  const plain = el('pre', { class: 'diff-plain', tabindex: '0' }, start.join('\n'))
  const view = el('div', { class: 'diffs' }, plain)
  plain.style.height = `${start.length * LINE_REM + 2}rem`
  whenNear(view, () => {
    const text = typeof patch === 'string' ? patch : patch()
    const files = text.length > MAX_PATCH ? [] : filesOf(text)
    view.replaceChildren(...(files.length ? files.map((file) => fileDiff(file, path, head)) : [output(text)]))
  })
  return view
}

function fileDiff({ name: written, rows, isDeleted }, path, { isNamed = true, beside, directory = '' }) {
  const name = relativeTo(directory, written || path || '')
  const language = languageOf(name)
  const scroll = el('div', { class: 'diff-scroll', tabindex: '0', role: 'group', 'aria-label': name })
  const title = isNamed && el('div', { class: 'diff-name' }, el('span', { dir: 'auto' }, name), beside?.(name))
  const box = el('div', { class: 'diff-box' }, title, scroll)
  if (!rows.length) {
    scroll.append(el('p', { class: 'note' }, isDeleted ? strings.deletedFile : strings.movedFile))
    return box
  }
  let limit = FIRST_ROWS
  // Counts the drawings, so that one that is under way ends when another begins.
  let drawing = 0
  const draw = (atOnce) => {
    const mine = (drawing += 1)
    scroll.replaceChildren()
    const tables = []
    for (let at = 0; at < Math.min(rows.length, limit); at += TABLE_ROWS)
      tables.push(rows.slice(at, Math.min(at + TABLE_ROWS, limit)))
    return track(
      inSlices(
        tables,
        (rows) => {
          if (drawing !== mine) return
          const table = el('table', { class: 'diff', 'aria-label': name })
          table.style.containIntrinsicSize = `auto ${rows.length * LINE_REM}rem`
          scroll.append(table)
          if (tables.length === 1 || atOnce) fill(table, rows, language)
          else whenNear(table, () => fill(table, rows, language))
        },
        atOnce,
      ),
    )
  }
  draw(true)
  if (rows.length > FIRST_ROWS) {
    const more = el('button', { class: 'more', type: 'button' }, strings.showAll(count(rows.length)))
    more.show = (atOnce) => {
      limit = Infinity
      more.remove()
      return draw(atOnce)
    }
    more.addEventListener('click', () => more.show())
    box.append(more)
  }
  box.addEventListener('redraw', () => draw(false))
  widths.observe(box)
  return box
}

// Diffs by whether they were drawn in two columns; a box that has become wider or narrower is drawn anew.
const drawn = new WeakMap()
const widths = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const isWide = sideBySide(contentRect.width)
    if (contentRect.width && drawn.has(target) && drawn.get(target) !== isWide)
      target.dispatchEvent(new Event('redraw'))
  }
})

function fill(table, rows, language) {
  const box = table.closest('.diff-box')
  const isWide = sideBySide(box.clientWidth)
  drawn.set(box, isWide)
  // Where there is nothing on the one side, the other one has all the room.
  const isPair = isWide && rows.some((row) => row.old) && rows.some((row) => row.new)
  // The code that is to be coloured.
  const plain = []
  table.replaceChildren(...(isPair ? twoColumns(rows, plain) : oneColumn(rows, plain)))
  if (language && plain.length) whenNear(table, () => highlight(plain, language, marks))
}

function oneColumn(rows, plain) {
  const lines = []
  let run = []
  // Within a run of changes what went stands before what came.
  const flush = () => {
    for (const row of run) if (row.old) lines.push(line('removed', row.old, undefined, row.old, row.new, plain))
    for (const row of run) if (row.new) lines.push(line('added', undefined, row.new, row.new, row.old, plain))
    run = []
  }
  for (const row of rows) {
    if (row.kind === 'change') {
      run.push(row)
      continue
    }
    flush()
    lines.push(row.kind === 'gap' ? gap(4) : line('same', row.old, row.new, row.new, undefined, plain))
  }
  flush()
  return lines
}

const SIGNS = { added: '+', removed: '−', same: '' }

const numberOf = (cell) => String(cell?.number ?? '')

function line(kind, older, newer, shown, counterpart, plain) {
  return el(
    'tr',
    { class: kind },
    el('td', { class: 'number' }, numberOf(older)),
    el('td', { class: 'number' }, numberOf(newer)),
    el('td', { class: 'sign' }, SIGNS[kind]),
    el('td', { class: 'text' }, code(shown.text, counterpart?.text, kind, plain)),
  )
}

function twoColumns(rows, plain) {
  return rows.map((row) => {
    if (row.kind === 'gap') return gap(6)
    const side = (cell, other, kind) => [
      el('td', { class: `number ${cell ? kind : 'none'}` }, numberOf(cell)),
      el('td', { class: `sign ${cell ? kind : 'none'}` }, cell ? SIGNS[kind] : ''),
      el(
        'td',
        { class: `text ${cell ? kind : 'none'}` },
        cell ? code(cell.text, row.kind === 'change' ? other?.text : undefined, kind, plain) : '',
      ),
    ]
    const [removed, added] = row.kind === 'change' ? ['removed', 'added'] : ['same', 'same']
    return el('tr', { class: 'pair' }, ...side(row.old, row.new, removed), ...side(row.new, row.old, added))
  })
}

// The words that differ, as ranges of the text of their line.
const marks = new WeakMap()

/** A line's code, to be coloured among `plain`: with the words that differ from its counterpart marked. */
function code(text, counterpart, kind, plain) {
  const node = el('code', { dir: 'auto' })
  if (counterpart !== undefined && text.length + counterpart.length < MAX_WORDS_IN) {
    const [older, newer] = kind === 'added' ? [counterpart, text] : [text, counterpart]
    const words = diffWordsWithSpace(older, newer, WORDS) ?? []
    const pieces = words.filter((piece) => (kind === 'added' ? !piece.removed : !piece.added))
    const marked = pieces.filter((piece) => piece.added || piece.removed)
    // Where nearly all differs, marks say nothing.
    if (pieces.length && marked.reduce((sum, { value }) => sum + value.length, 0) < text.length * 0.7) {
      const runs = pieces.map(({ value, added, removed }) => ({ text: value, isMarked: added || removed }))
      node.append(spans(runs))
      let at = 0
      const ranges = runs.map(({ text, isMarked }) => ({ from: at, to: (at += text.length), isMarked }))
      marks.set(
        node,
        ranges.filter(({ isMarked }) => isMarked),
      )
      plain.push(node)
      return node
    }
  }
  write(node, text)
  if (text.trim()) plain.push(node)
  return node
}

const gap = (columns) => el('tr', { class: 'gap' }, el('td', { colspan: String(columns) }, '⋯'))
