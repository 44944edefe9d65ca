// A terminal's output: its colours as classes, everything else it may command ignored.

import { toFragment } from './sanitize.js'
import { AnsiUp } from './vendor/ansi_up.min.js'

/** Puts a terminal's output into a node. */
export function renderAnsi(node, text) {
  if (!text.includes('\x1b')) {
    node.textContent = lastOfEachLine(text)
    return
  }
  const ansi = new AnsiUp()
  ansi.use_classes = true
  node.replaceChildren(toFragment(ansi.ansi_to_html(lastOfEachLine(text))))
}

/** A progress bar rewrites its line with carriage returns: what was written last counts. Linear in the text. */
export function lastOfEachLine(text) {
  return text.includes('\r') ? text.split('\n').map(lastWritten).join('\n') : text
}

function lastWritten(line) {
  let end = line.length
  while (line[end - 1] === '\r') end -= 1
  return line.slice(line.lastIndexOf('\r', end - 1) + 1, end)
}
