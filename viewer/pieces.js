// Long texts in pieces, so that each costs little to read and to lay out. Pure, and linear in the text.

// A piece of Markdown ends where a block begins after so many characters; and after so many more wherever a line ends.
const MIN_MARKDOWN = 6000
const MAX_MARKDOWN = 24_000

// A piece of plain text has so many characters, or so many lines.
const MAX_CHARACTERS = 20_000
const MAX_LINES = 500

// A line with which a block begins that is not a part of what stands before it: no list goes on with it, and nothing
// that is indented.
const BEGINS = /^[^\s>|\-*+\d<]/
const FENCE = /^ {0,3}(`{3,}|~{3,})/
const FORMULA = /^ {0,3}(?:\$\$|\\[[\]])/
const WHOLE_FORMULA = /(?:\$\$|\\\[).*(?:\$\$|\\\])/
// The line under the head of a table.
const DELIMITERS = /^ *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$/

/**
 * Markdown in pieces, `[{ head, text }]`. The texts together are the whole. Each can be read by itself behind its head:
 * the beginning of the code or of the table that it goes on with, or nothing.
 */
export function markdownPieces(text) {
  return new MarkdownPieces().read(text)
}

/** The same of a text that grows: what was read before its last piece is not read again. */
export class MarkdownPieces {
  #text = ''
  // Pieces that are over, and where in them the last one begins, with what block it begins in.
  #done = []
  #from = 0
  #blocks = new Blocks()

  read(text) {
    // A text is compared up to where it was read, which costs far less than reading it.
    if (!text.startsWith(this.#text.slice(0, this.#from))) this.#restart()
    this.#text = text
    let { head } = this.#blocks
    const blocks = this.#blocks.copy()
    for (const { start, line } of linesOf(text, this.#from)) {
      const length = start - this.#from
      const isTooLong = length > 0 && length + line.length > MAX_MARKDOWN
      if (isTooLong || (length >= MIN_MARKDOWN && blocks.isBreak(line))) {
        this.#done.push(...cutPiece(head, text.slice(this.#from, start)))
        this.#from = start
        this.#blocks = blocks.copy()
        head = blocks.head
      }
      blocks.add(line)
    }
    return [...this.#done, ...cutPiece(head, text.slice(this.#from))]
  }

  #restart() {
    this.#done = []
    this.#from = 0
    this.#blocks = new Blocks()
  }
}

const cutPiece = (head, text) => cut(text, MAX_MARKDOWN).map((text) => ({ head, text }))

/** What block of a Markdown text its next line stands in. */
class Blocks {
  /** With what the code or the table begins that goes on; empty where none does. */
  head = ''
  #fence = ''
  #inFormula = false
  #folds = 0
  #last = ''

  copy() {
    const copy = new Blocks()
    copy.head = this.head
    copy.#fence = this.#fence
    copy.#inFormula = this.#inFormula
    copy.#folds = this.#folds
    copy.#last = this.#last
    return copy
  }

  /** Whether a block begins with this line that is no part of what stands before it. */
  isBreak(line) {
    const isInside = this.#fence || this.#inFormula || this.#folds > 0
    return !isInside && this.#last.trim() === '' && BEGINS.test(line)
  }

  add(line) {
    const mark = FENCE.exec(line)?.[1]
    if (this.#fence) {
      if (mark?.startsWith(this.#fence) && line.trim() === mark) this.#fence = this.head = ''
    } else if (mark) {
      this.#fence = mark
      this.head = `${line}\n`
    } else {
      if (DELIMITERS.test(line) && this.#last.includes('|')) this.head = `${this.#last}\n${line}\n`
      else if (line.trim() === '') this.head = ''
      if (FORMULA.test(line) && !WHOLE_FORMULA.test(line)) this.#inFormula = !this.#inFormula
      if (/^<details[ >]/i.test(line)) this.#folds += 1
      if (/^<\/details>/i.test(line)) this.#folds = Math.max(0, this.#folds - 1)
    }
    this.#last = line
  }
}

/** Plain text in pieces of whole lines, but for lines that are too long for one. Together they are the text. */
export function textPieces(text) {
  const pieces = []
  let from = 0
  let lines = 0
  for (const { start, line } of linesOf(text)) {
    if (start > from && (lines >= MAX_LINES || start - from + line.length > MAX_CHARACTERS)) {
      pieces.push(text.slice(from, start))
      from = start
      lines = 0
    }
    lines += 1
  }
  pieces.push(text.slice(from))
  return pieces.flatMap((piece) => cut(piece, MAX_CHARACTERS))
}

/** The first lines of a text: so many of them, and so many characters, at the most. */
export function startOf(text, maxLines, maxCharacters) {
  let end = 0
  for (let count = 0; count < maxLines && end >= 0; count++) end = text.indexOf('\n', end + (count ? 1 : 0))
  return text.slice(0, Math.min(end < 0 ? text.length : end, wholeCharacter(text, maxCharacters)))
}

/** The last lines of a text: so many of them, and so many characters, at the most. */
export function endOf(text, maxLines, maxCharacters) {
  let from = text.endsWith('\n') ? text.length - 1 : text.length
  for (let count = 0; count < maxLines && from > 0; count++) from = text.lastIndexOf('\n', from - 1)
  const start = from > 0 ? from + 1 : Math.max(0, from)
  return text.slice(wholeCharacter(text, Math.max(start, text.length - maxCharacters)))
}

function* linesOf(text, from = 0) {
  for (let start = from; start < text.length;) {
    const end = text.indexOf('\n', start)
    const next = end < 0 ? text.length : end + 1
    yield { start, line: text.slice(start, end < 0 ? text.length : end) }
    start = next
  }
}

function cut(piece, max) {
  const pieces = []
  let from = 0
  while (piece.length - from > max) {
    const to = wholeCharacter(piece, from + max)
    pieces.push(piece.slice(from, to))
    from = to
  }
  pieces.push(piece.slice(from))
  return pieces
}

/** A place at which no pair of surrogates is parted. */
function wholeCharacter(text, at) {
  const code = text.charCodeAt(at)
  return code >= 0xdc00 && code <= 0xdfff && at > 0 ? at - 1 : at
}
