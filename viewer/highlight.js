// Colours for code, which the worker finds: the library is loaded when the first code comes into view.

import { inSlices, spans } from './dom.js'
import { offload } from './offload.js'
import { own, text } from './values.js'

// Larger than this, colouring costs more than it helps.
const MAX_CHARACTERS = 16_000

const BY_EXTENSION = {
  py: 'python',
  rs: 'rust',
  js: 'javascript',
  mjs: 'javascript',
  cjs: 'javascript',
  jsx: 'javascript',
  ts: 'typescript',
  tsx: 'typescript',
  go: 'go',
  rb: 'ruby',
  java: 'java',
  kt: 'kotlin',
  c: 'c',
  h: 'c',
  cc: 'cpp',
  cpp: 'cpp',
  hpp: 'cpp',
  cs: 'csharp',
  php: 'php',
  swift: 'swift',
  sh: 'bash',
  bash: 'bash',
  zsh: 'bash',
  json: 'json',
  jsonc: 'json',
  yaml: 'yaml',
  yml: 'yaml',
  toml: 'ini',
  ini: 'ini',
  html: 'xml',
  xml: 'xml',
  svg: 'xml',
  vue: 'xml',
  css: 'css',
  scss: 'css',
  md: 'markdown',
  sql: 'sql',
  lua: 'lua',
  ex: 'elixir',
  exs: 'elixir',
  hs: 'haskell',
  nix: 'nix',
  scala: 'scala',
  pl: 'perl',
  diff: 'diff',
  patch: 'diff',
  mk: 'makefile',
  graphql: 'graphql',
  ps1: 'powershell',
}

/** The language of a file, by its name. */
export function languageOf(path) {
  const name = text(path).split('/').at(-1)
  if (/^dockerfile/i.test(name)) return 'dockerfile'
  if (/^makefile/i.test(name)) return 'makefile'
  return own(BY_EXTENSION, name.split('.').at(-1).toLowerCase())
}

/** Colours the code of nodes, each by itself, in place. */
export async function highlight(nodes, language) {
  const texts = nodes.map((node) => node.textContent)
  if (!language || texts.reduce((sum, text) => sum + text.length, 0) > MAX_CHARACTERS) return
  const coloured = await offload.run('code', texts, language)
  if (!coloured) return
  await inSlices(nodes.entries(), ([at, node]) => {
    if (node.textContent !== texts[at]) return
    node.replaceChildren(spans(coloured[at]))
    node.classList.add('hljs')
  })
}
