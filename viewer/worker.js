// The other side of `offload.js`: reads Markdown and code with libraries whose time is not bounded. Knows no page.

import { toHtml } from './markup.js'
import { runsOf } from './runs.js'

const JOBS = {
  markdown: async () => toHtml,
  code: async () => {
    const { default: library } = await import('./vendor/highlight.min.js')
    const coloured = (code, language) => runsOf(library.highlight(code, { language, ignoreIllegals: true }).value)
    /** Pieces of code in a language, each by itself, as runs. */
    return (pieces, language) => library.getLanguage(language) && pieces.map((code) => coloured(code, language))
  },
}

onmessage = async ({ data: { kind, input } }) => {
  try {
    const job = await JOBS[kind]()
    postMessage({ begun: true })
    postMessage({ result: job(...input) })
  } catch {
    // What cannot be read stays the text that it is.
    postMessage({ result: undefined })
  }
}
