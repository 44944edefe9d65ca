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
