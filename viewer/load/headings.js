// What an outline shows of prompts and answers. Pure.

const FENCE = /^ {0,3}(`{3,}|~{3,})/
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*$/

/** The headings of a Markdown text, `[{ level, text }]`. */
export function headingsOf(markdown) {
  const headings = []
  let fence = ''
  for (const line of markdown.split('\n')) {
    const mark = FENCE.exec(line)?.[1]
    if (mark && (!fence || mark.startsWith(fence))) fence = fence ? '' : mark
    const [, marks, words] = (!fence && HEADING.exec(line)) || []
    if (words) headings.push({ level: marks.length, text: words.replace(/[*_`]/g, '') })
  }
  return headings
}

// Words that two prompts begin with alike are left out from so many characters on.
const MIN_ALIKE = 24

/** Labels with what each begins with like the one before it left out. */
export const different = (labels) => labels.map((label, at) => (at ? withoutAlike(label, labels[at - 1]) : label))

function withoutAlike(label, before) {
  let same = 0
  while (same < label.length && label[same] === before[same]) same += 1
  const from = label.lastIndexOf(' ', same) + 1
  return same < label.length && from > MIN_ALIKE ? `… ${label.slice(from)}` : label
}
