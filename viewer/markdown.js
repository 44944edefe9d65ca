// Markdown to elements.

import { copyButton, el, whenNear } from './dom.js'
import { highlight } from './highlight.js'
import { toFragment } from './sanitize.js'
import { strings } from './strings.js'
import { Marked } from './vendor/marked.min.js'

// Tags that people write in Markdown and that do nothing. All other HTML is shown as the text that it is: an agent that
// writes `Vec<T>` or `<div>` means these characters.
const HARMLESS = /^<(?:br ?\/?|\/?(?:kbd|sub|sup|details|summary|ins|del|mark))>$/i

const escape = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const marked = new Marked({
  gfm: true,
  breaks: false,
  renderer: {
    // Below the page's own headings: its title, and the prompts.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6)
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`
    },
    html: ({ text }) => text.replace(/<[^>]*>?|[^<]+/g, (piece) => (HARMLESS.test(piece) ? piece : escape(piece))),
  },
})

/** Puts a Markdown text's elements into a node, in place of what is there. */
export function renderMarkdown(node, text) {
  let fragment
  try {
    fragment = toFragment(marked.parse(text))
  } catch {
    // A text that the parser cannot read is still a text.
    node.textContent = text
    return
  }
  for (const table of fragment.querySelectorAll('table')) {
    const frame = el('div', { class: 'table', tabindex: '0', role: 'group', 'aria-label': strings.table })
    table.replaceWith(frame)
    frame.append(table)
  }
  for (const code of fragment.querySelectorAll('pre > code')) {
    const language = /language-([\w+#-]+)/.exec(code.className)?.[1]
    const pre = code.parentElement
    const source = code.textContent
    pre.tabIndex = 0
    const frame = el('div', { class: 'code', dataset: { language: language ?? '' } })
    pre.replaceWith(frame)
    frame.append(pre, copyButton(strings, source))
    if (language) whenNear(code, () => highlight(code, language))
  }
  node.replaceChildren(fragment)
}
