// The programs in docs/CLIENTS.md, as they stand there.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

import ts from 'typescript'

import { run } from '../lib/process.mjs'
import { setUp } from '../lib/relay.mjs'

const DOCUMENT = new URL('../../docs/CLIENTS.md', import.meta.url)

const { relay } = await setUp()
const dir = await mkdtemp(join(tmpdir(), 'brutus-share-clients-'))
after(() => rm(dir, { recursive: true, force: true }))

/** The program of a language. */
async function program(language) {
  const document = await readFile(DOCUMENT, 'utf8')
  const [found, more] = [...document.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))]
  assert.ok(found && !more, `one program in ${language}`)
  return found[1]
}

/** Runs a program, which prints a link, and looks at what the link shows. */
async function shows(command, ...args) {
  const env = { ...process.env, BRUTUS_SHARE_LOCAL_DIR: relay.localDir }
  const { code, stdout, stderr } = await run(command, args, { env })
  assert.equal(code, 0, stderr)
  const [url] = stdout.match(/^http:\S+$/m)
  const session = (await relay.request('GET', '/v1/shares')).json.find((share) => share.url === url)
  const { status } = await relay.request('POST', `/v1/sessions/${session.sessionID}/flush`)
  assert.equal(status, 200)
  const shown = await (await fetch(`${url}.md`)).text()
  assert.match(shown, /# Say hello\.[^]*Say hello\.[^]*Hello!/)
}

test('the program in TypeScript has the types that it says, and shares', async () => {
  const file = join(dir, 'share.mts')
  await writeFile(file, await program('ts'))
  const options = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ESNext,
    strict: true,
    outDir: dir,
    lib: ['lib.esnext.d.ts', 'lib.dom.d.ts'],
    types: [],
  }
  // Node's own types are another package: what is used of them stands here.
  const node = join(dir, 'node.d.ts')
  await writeFile(
    node,
    `declare module 'node:fs/promises' { function readFile(path: string, encoding: 'utf8'): Promise<string> }
     declare const process: { env: Record<string, string | undefined> }`,
  )
  const compiled = ts.createProgram([file, node], options)
  const { diagnostics } = compiled.emit()
  const errors = [...ts.getPreEmitDiagnostics(compiled), ...diagnostics]
  assert.equal(
    ts.formatDiagnostics(errors, {
      getCanonicalFileName: (name) => name,
      getCurrentDirectory: () => dir,
      getNewLine: () => '\n',
    }),
    '',
  )
  await shows(process.execPath, join(dir, 'share.mjs'))
})

test('the program in Python shares', async () => {
  const file = join(dir, 'share.py')
  await writeFile(file, await program('python'))
  await shows('python3', file)
})
