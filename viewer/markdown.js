// Markdown to elements.

import { copyButton, el, whenNear } from './dom.js'
import { highlight } from './highlight.js'
import { toHtml } from './markup.js'
import { toFragment } from './sanitize.js'
import { strings } from './strings.js'
/** Puts a Markdown text's elements into a node, in place of what is there. */
export function renderMarkdown(node, text) {
  let fragment
  try {
    fragment = toFragment(toHtml(text))
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
  findDirections(fragment)
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

/**
 * Lets each block find the direction that it is read in, by its first letter; code is read from left to right. A block
 * finds none in what has a direction of its own, so the first paragraph of an item or a quotation has its one.
 */
function findDirections(fragment) {
  for (const block of fragment.querySelectorAll('p, li, h1, h2, h3, h4, h5, h6, td, th, blockquote, summary'))
    if (!block.matches('li > p:first-child, blockquote > p:first-child')) block.dir = 'auto'
  for (const code of fragment.querySelectorAll('code')) code.dir = 'ltr'
}
