// Markdown to HTML text, which is nothing to be trusted: only the sanitising module makes elements of it. Pure.
//
// What an agent writes is shown, whatever it looks like: a tag is the characters that it is written with, for who
// writes `Vec<T>` or names an element means these; a formula keeps its backslashes and stars; and what only looks like
// the definition of a link is a text.

import { Marked } from './vendor/marked.min.js'

const escape = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

// Formulas as TeX and agents write them: \(…\), \[…\], $$…$$, and $…$ where it cannot be two prices. Of a bounded
// length, so that a beginning without an end costs little.
const FORMULA =
  /^(?:\\\([^]{1,2000}?\\\)|\\\[[^]{1,2000}?\\\]|\$\$[^]{1,2000}?\$\$|\$(?!\s)(?:\\.|[^$\\\n]){1,1000}(?<!\s)\$(?!\d))/
const FORMULA_BLOCK = /^ {0,3}(\\\[[^]{1,4000}?\\\]|\$\$[^]{1,4000}?\$\$)[ \t]*(?:\n+|$)/

const formula = {
  name: 'formula',
  level: 'inline',
  tokenizer(source) {
    const raw = FORMULA.exec(source)?.[0]
    return raw && { type: 'formula', raw }
  },
  renderer: ({ raw }) => `<span class="formula">${escape(raw)}</span>`,
}

// What was hidden stands in brackets; it is no link, whatever stands behind it.
const placeholder = {
  name: 'placeholder',
  level: 'inline',
  tokenizer(source) {
    const raw = /^\[redacted:[a-z0-9-]{1,40}-\d{1,9}\]/.exec(source)?.[0]
    return raw && { type: 'placeholder', raw }
  },
  renderer: ({ raw }) => raw,
}

const formulaBlock = {
  name: 'formulaBlock',
  level: 'block',
  tokenizer(source) {
    const found = FORMULA_BLOCK.exec(source)
    return found && { type: 'formulaBlock', raw: found[0], text: found[1] }
  },
  renderer: ({ text }) => `<p class="formula">${escape(text)}</p>\n`,
}

// The labels by which a text refers to its definitions, while it is read.
let referred = new Set()

const marked = new Marked({
  gfm: true,
  breaks: false,
  extensions: [formula, placeholder, formulaBlock],
  tokenizer: {
    /** A tag within a text is its characters. A line break in the cell of a table can be written in no other way. */
    tag(source) {
      const raw = this.rules.inline.tag.exec(source)?.[0]
      return raw && { type: 'html', raw, text: raw, block: false }
    },
    /** A text ends where a formula may begin. */
    inlineText(source) {
      const found = this.rules.inline.text.exec(source)?.[0]
      if (!found) return undefined
      const dollar = found.indexOf('$', 1)
      const raw = dollar > 0 ? found.slice(0, dollar) : found
      return { type: 'text', raw, text: raw, escaped: false }
    },
  },
  renderer: {
    // Below the page's own headings: its title, and the prompts.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6)
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`
    },
    html: (token) => (token.block ? htmlBlock(token) : escape(token.text)),
    tablecell({ tokens, header, align }) {
      const name = header ? 'th' : 'td'
      for (const token of tokens) if (/^<br *\/?>$/i.test(token.raw)) token.type = 'br'
      return `<${name}${align ? ` align="${align}"` : ''}>${this.parser.parseInline(tokens)}</${name}>\n`
    },
    def: ({ tag, raw }) => (referred.has(tag) ? '' : `<p>${escape(raw)}</p>\n`),
  },
})

/** A Markdown text as HTML text. What a person typed (`isTyped`) keeps its lines, and a pasted log stays as it was. */
export function toHtml(markdown, isTyped = false) {
  const text = isTyped ? withLogs(markdown.toWellFormed()) : markdown.toWellFormed()
  const tokens = marked.lexer(text, { ...marked.defaults, breaks: isTyped })
  findFolds(tokens)
  referred = tokens.links && Object.keys(tokens.links).length ? labelsIn(text) : new Set()
  return marked.parser(tokens)
}

// So many lines without an empty one between them, and without any mark of a list, are no prose.
const MIN_LOG = 12
const IS_MARKED = /^ {0,3}(?:[-*+>#|] ?|\d+[.)] |`{3}|~{3})/

/** A typed text in which what looks like a pasted log is code. */
function withLogs(text) {
  const lines = text.split('\n')
  const result = []
  let fence = ''
  let run = []
  const flush = () => {
    const isLog = run.length >= MIN_LOG && run.filter((line) => IS_MARKED.test(line)).length < run.length / 4
    result.push(...(isLog && !run.some((line) => line.includes('````')) ? ['````', ...run, '````'] : run))
    run = []
  }
  for (const line of lines) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1]
    if (mark || fence || line.trim() === '') {
      flush()
      result.push(line)
      if (mark && (!fence || mark.startsWith(fence))) fence = fence ? '' : mark
    } else run.push(line)
  }
  flush()
  return result.join('\n')
}

function labelsIn(text) {
  const labels = text.matchAll(/\[([^[\]\n]{1,200})\](?!:)/g)
  const names = [...labels].map(([, label]) => label.toLowerCase().replace(/\s+/g, ' '))
  return new Set(names.filter((name) => !name.startsWith('redacted:')))
}

const PIECES = /<[^<>]*>|[^<]+|</g
const OPENS = /^<details(?: open(?:="")?)?>$/i

/**
 * Finds the folds among blocks that stand side by side: `<details>` and its `</details>`, each on a line of its own
 * but for a summary. One that is not closed is a text.
 */
function findFolds(tokens) {
  const open = []
  for (const token of tokens) {
    if (token.type === 'blockquote') findFolds(token.tokens)
    else if (token.type === 'list') token.items.forEach((item) => findFolds(item.tokens))
    if (token.type !== 'html' || !token.block) continue
    token.pieces = (token.text.match(PIECES) ?? []).map((text) => ({ text, isTag: false }))
    for (const [at, piece] of token.pieces.entries()) {
      const before = token.pieces[at - 1]?.text ?? '\n'
      const after = token.pieces[at + 1]?.text ?? '\n'
      if (OPENS.test(piece.text) && /\n[ \t]*$/.test(before) && /^(?:[ \t]*\n|<summary>$)/i.test(after)) {
        open.push({ piece, pieces: token.pieces, at })
      } else if (/^<\/details>$/i.test(piece.text) && /^[ \t]*(?:\n|$)/.test(after) && open.length) {
        const opening = open.pop()
        opening.piece.isTag = piece.isTag = true
        findSummary(opening)
      }
    }
  }
}

/** The summary of a fold, right behind its beginning. */
function findSummary({ pieces, at }) {
  const isNamed = (name) => (piece) => piece.text.toLowerCase() === name
  const first = pieces.findIndex((piece, place) => place > at && piece.text.trim() !== '')
  if (first < 0 || !isNamed('<summary>')(pieces[first])) return
  const last = pieces.findIndex((piece, place) => place > first && isNamed('</summary>')(piece))
  if (last > 0) pieces[first].isTag = pieces[last].isTag = true
}

/** A block of HTML: folds are folds, all else is a text. */
function htmlBlock({ pieces }) {
  let html = ''
  let words = ''
  let inSummary = false
  const flush = () => {
    if (words.trim()) html += inSummary ? escape(words.trim()) : `<p class="html">${escape(words.trim())}</p>\n`
    words = ''
  }
  for (const { text, isTag } of pieces) {
    if (isTag) {
      flush()
      inSummary = /^<summary>$/i.test(text)
      html += text
    } else words += text
  }
  flush()
  return html
}
