// Makes viewer/vendor/ again, byte for byte, from the packages that package-lock.json pins:
//   npm ci && node build.mjs            writes the files
//   npm ci && node build.mjs --check    fails when they differ

import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { readFile, writeFile, mkdir } from 'node:fs/promises'

import { build } from 'esbuild'

const TARGET = new URL('../../viewer/vendor/', import.meta.url)

const LANGUAGES = [
  'bash',
  'c',
  'cpp',
  'csharp',
  'css',
  'diff',
  'dockerfile',
  'elixir',
  'go',
  'graphql',
  'haskell',
  'ini',
  'java',
  'javascript',
  'json',
  'kotlin',
  'lua',
  'makefile',
  'markdown',
  'nix',
  'objectivec',
  'perl',
  'php',
  'plaintext',
  'powershell',
  'python',
  'ruby',
  'rust',
  'scala',
  'sql',
  'swift',
  'typescript',
  'xml',
  'yaml',
]

const LIBRARIES = [
  { file: 'marked.min.js', name: 'marked', source: `export { Marked } from 'marked'` },
  { file: 'purify.min.js', name: 'dompurify', source: `export { default } from 'dompurify'` },
  { file: 'diff.min.js', name: 'diff', source: `export { diffWordsWithSpace, structuredPatch } from 'diff'` },
  { file: 'inflate.min.js', name: 'fflate', source: `export { Inflate, inflateSync } from 'fflate'` },
  { file: 'uqr.min.js', name: 'uqr', source: `export { encode } from 'uqr'` },
  {
    file: 'highlight.min.js',
    name: 'highlight.js',
    source:
      `import hljs from 'highlight.js/lib/core'\n` +
      LANGUAGES.map(
        (name, at) =>
          `import l${at} from 'highlight.js/lib/languages/${name}'\nhljs.registerLanguage('${name}', l${at})\n`,
      ).join('') +
      `export default hljs`,
  },
]

const check = process.argv.includes('--check')
let different = false

async function put(file, text) {
  const url = new URL(file, TARGET)
  if (!check) return writeFile(url, text)
  const old = await readFile(url, 'utf8').catch(() => '')
  if (old !== text) {
    different = true
    console.error(`viewer/vendor/${file} is not what the build makes`)
  }
}

await mkdir(TARGET, { recursive: true })
const rows = []
const licences = []
for (const { file, name, source } of LIBRARIES) {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none',
    write: false,
  })
  const text = outputFiles[0].text
  const base = new URL(`node_modules/${name}/`, import.meta.url)
  const { version, license } = JSON.parse(await readFile(new URL('package.json', base), 'utf8'))
  let notice = ''
  for (const candidate of ['LICENSE', 'LICENSE.md', 'LICENSE.txt'])
    notice ||= await readFile(new URL(candidate, base), 'utf8').catch(() => '')
  const hash = createHash('sha256').update(text).digest('hex')
  rows.push(`| \`${file}\` | ${name} ${version} | ${license} | \`${hash}\` |`)
  licences.push(`## ${name} ${version} (${license})\n\n${notice.trim().replaceAll('\r', '')}\n`)
  await put(file, text)
}
await put(
  'README.md',
  '# Libraries of the viewer\n\n' +
    'Made by `tests/vendor/build.mjs` from the packages that its lock file pins. Do not edit.\n\n' +
    `| file | package | licence | SHA-256 |\n|---|---|---|---|\n${rows.join('\n')}\n`,
)
await put('LICENSES.md', `# Licences\n\n${licences.join('\n')}`)
process.exitCode = different ? 1 : 0
