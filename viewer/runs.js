// Coloured code as runs of text: what the library that colours writes as HTML is read back, so that no HTML of it
// reaches the page. Pure.

const PIECES = /<span class="([^"]*)">|<\/span>|&(amp|lt|gt|quot|#x27);|[^<&]+|[<&]/g
const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', '#x27': "'" }

/** The runs of coloured code, `[{ text, classes }]`: each of the innermost class that it stands in. */
export function runsOf(html) {
  const runs = []
  const open = ['']
  for (const [piece, classes, entity] of html.matchAll(PIECES)) {
    if (classes !== undefined) open.push(classes)
    else if (piece === '</span>') open.pop()
    else {
      const text = entity ? ENTITIES[entity] : piece
      const last = runs.at(-1)
      if (last && last.classes === open.at(-1)) last.text += text
      else runs.push({ text, classes: open.at(-1) ?? '' })
    }
  }
  return runs
}

/** Runs, of which the ranges `[{ from, to }]` of their text are marked. Ranges are in order and do not overlap. */
export function markedRuns(runs, ranges) {
  const marked = []
  let at = 0
  let next = 0
  for (const run of runs) {
    for (let used = 0; used < run.text.length;) {
      while (next < ranges.length && ranges[next].to <= at) next += 1
      const { from, to } = ranges[next] ?? { from: Infinity, to: Infinity }
      const isMarked = from <= at
      const end = Math.min(run.text.length, used + (isMarked ? to : from) - at)
      marked.push({ ...run, text: run.text.slice(used, end), ...(isMarked && { isMarked }) })
      at += end - used
      used = end
    }
  }
  return marked
}
