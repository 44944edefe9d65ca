// Colours for code. The library is loaded when the first code comes into view.

import { toFragment } from './sanitize.js'
import { own, text } from './values.js'

// Larger than this, colouring costs more than it helps.
const MAX_CHARACTERS = 60_000

const BY_EXTENSION = {
  py: 'python', rs: 'rust', js: 'javascript', mjs: 'javascript', cjs: 'javascript', jsx: 'javascript', ts: 'typescript', tsx: 'typescript',
  go: 'go', rb: 'ruby', java: 'java', kt: 'kotlin', c: 'c', h: 'c', cc: 'cpp', cpp: 'cpp', hpp: 'cpp', cs: 'csharp', php: 'php', swift: 'swift',
  sh: 'bash', bash: 'bash', zsh: 'bash', json: 'json', jsonc: 'json', yaml: 'yaml', yml: 'yaml', toml: 'ini', ini: 'ini', html: 'xml', xml: 'xml',
  svg: 'xml', vue: 'xml', css: 'css', scss: 'css', md: 'markdown', sql: 'sql', lua: 'lua', ex: 'elixir', exs: 'elixir', hs: 'haskell', nix: 'nix',
  scala: 'scala', pl: 'perl', diff: 'diff', patch: 'diff', mk: 'makefile', graphql: 'graphql', ps1: 'powershell',
}

let library

/** The language of a file, by its name. */
export function languageOf(path) {
  const name = text(path).split('/').at(-1)
  if (/^dockerfile/i.test(name)) return 'dockerfile'
  if (/^makefile/i.test(name)) return 'makefile'
  return own(BY_EXTENSION, name.split('.').at(-1).toLowerCase())
}

/** Colours the text of a node, in place. */
export async function highlight(node, language) {
  const code = node.textContent
  if (!language || code.length > MAX_CHARACTERS) return
  library ??= import('./vendor/highlight.min.js')
  const { default: hljs } = await library
  if (!hljs.getLanguage(language) || node.textContent !== code) return
  node.replaceChildren(toFragment(hljs.highlight(code, { language, ignoreIllegals: true }).value))
  node.classList.add('hljs')
}
