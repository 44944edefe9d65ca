// Colours for code, which the worker finds: the library is loaded when the first code comes into view.

import { inSlices, spans } from './dom.js'
import { offload } from './offload.js'
import { markedRuns } from './runs.js'
import { own, text } from './values.js'

// Larger than this, colouring costs more than it helps.
const MAX_CHARACTERS = 16_000

// The endings of files, by language.
const ENDINGS = {
  python: 'py',
  rust: 'rs',
  javascript: 'js mjs cjs jsx',
  typescript: 'ts tsx',
  go: 'go',
  ruby: 'rb',
  java: 'java',
  kotlin: 'kt',
  c: 'c h',
  cpp: 'cc cpp hpp',
  csharp: 'cs',
  php: 'php',
  swift: 'swift',
  bash: 'sh bash zsh',
  json: 'json jsonc',
  yaml: 'yaml yml',
  ini: 'toml ini',
  xml: 'html xml svg vue',
  css: 'css scss',
  markdown: 'md',
  sql: 'sql',
  lua: 'lua',
  elixir: 'ex exs',
  haskell: 'hs',
  nix: 'nix',
  scala: 'scala',
  perl: 'pl',
  diff: 'diff patch',
  makefile: 'mk',
  graphql: 'graphql',
  powershell: 'ps1',
}
const BY_ENDING = Object.fromEntries(
  Object.entries(ENDINGS).flatMap(([language, endings]) => endings.split(' ').map((ending) => [ending, language])),
)

/** The language of a file, by its name. */
export function languageOf(path) {
  const name = text(path).split('/').at(-1)
  if (/^dockerfile/i.test(name)) return 'dockerfile'
  if (/^makefile/i.test(name)) return 'makefile'
  return own(BY_ENDING, name.split('.').at(-1).toLowerCase())
}

/** Colours the code of nodes, each by itself, in place. `marks` has what is marked in a node, as ranges of its text. */
export async function highlight(nodes, language, marks) {
  const texts = nodes.map((node) => node.textContent)
  if (!language || texts.reduce((sum, text) => sum + text.length, 0) > MAX_CHARACTERS) return
  const coloured = await offload.run('code', texts, language)
  if (!coloured) return
  await inSlices(nodes.entries(), ([at, node]) => {
    if (node.textContent !== texts[at]) return
    node.replaceChildren(spans(markedRuns(coloured[at], marks?.get(node) ?? [])))
    node.classList.add('hljs')
  })
}
