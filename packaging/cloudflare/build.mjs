// Puts the viewer together for the Worker, as the server does for itself (src/http/assets): its files below a path with
// a hash of all of them, and the pages that lead there. `node build.mjs [FOLDER]`, which is `dist` beside this file.

import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const to = process.argv[2] ?? join(here, 'dist')

const STYLES = 'page.css'
const ENTRY = 'app.js'

const POLICY =
  "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types viewer dompurify"

const files = await read(join(root, 'viewer'))
const text = (path) => files.get(path)?.toString() ?? ''
files.set(
  STYLES,
  Buffer.from(
    sheets(text('index.html'))
      .map((path) => `${text(path)}\n`)
      .join(''),
  ),
)
const paths = [...files.keys()].sort()
const version = hashOf(paths)
const modules = modulesOf(ENTRY)

await rm(to, { recursive: true, force: true })
for (const path of paths) {
  const place = join(to, 'site/assets', version, path)
  await mkdir(dirname(place), { recursive: true })
  await writeFile(place, files.get(path))
}
await mkdir(join(to, 'site/api'))
await cp(join(root, 'docs/openapi.json'), join(to, 'site/api/openapi.json'))
const headers = `/assets/*
  Cache-Control: public, max-age=31536000, immutable
  Content-Security-Policy: ${POLICY}
  X-Content-Type-Options: nosniff
  Referrer-Policy: no-referrer
  Cross-Origin-Resource-Policy: same-origin
`
await writeFile(join(to, 'site/_headers'), headers)
// The same, as `workerd` takes it.
await writeFile(join(to, 'site.json'), JSON.stringify({ html_handling: 'none', headers }))
const pages = {
  version,
  policy: POLICY,
  index: page('index.html', '../'),
  missing: page('missing.html', '../'),
  // Nothing is announced here, so nobody is told how to pair.
  start: page('start.html', '').replace('<!--pair-->', ''),
}
const constants = Object.entries(pages).map(([name, value]) => `export const ${name} = ${JSON.stringify(value)}\n`)
await writeFile(join(to, 'pages.js'), constants.join(''))

/** The files of a folder, by their paths below it. */
async function read(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const read = entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.json'))
    .map(async ({ parentPath, name }) => {
      const place = join(parentPath, name)
      return [place.slice(folder.length + 1), await readFile(place)]
    })
  return new Map(await Promise.all(read))
}

function isStyle(line) {
  return line.startsWith('<link rel="stylesheet"')
}

/** The style sheets that a page names. */
function sheets(page) {
  const lines = page.split('\n').filter(isStyle)
  return lines.map((line) => line.split('../assets/')[1].split('"')[0])
}

function hashOf(paths) {
  const hash = createHash('sha256')
  for (const path of paths) {
    for (const part of [Buffer.from(path), files.get(path)]) {
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(BigInt(part.length))
      hash.update(length).update(part)
    }
  }
  return hash.digest('hex').slice(0, 16)
}

/** A module, those that it imports, and those that these import, each once: not what is imported when it is needed. */
function modulesOf(entry) {
  const found = new Set([entry])
  for (const path of found) {
    const lines = text(path)
      .split('\n')
      .filter((line) => /^(import |export |\} from )/.test(line))
    for (const line of lines) {
      const name = /from '(.*?)'/.exec(line)?.[1] ?? /import '(.*?)'/.exec(line)?.[1]
      const imported = name?.startsWith('.') && posix.join(posix.dirname(path), name)
      if (files.has(imported)) found.add(imported)
    }
  }
  return [...found]
}

/** A page, which leads to its files by `up`: with its style sheets as one, and the modules that it is going to need. */
function page(name, up) {
  const assets = `${up}assets/${version}/`
  const preloads = modules.map((module) => `<link rel="modulepreload" href="${assets}${module}">`)
  const lines = text(name).trimEnd().split('\n')
  const first = lines.findIndex(isStyle)
  const made = lines.flatMap((line, at) => {
    if (isStyle(line)) return at === first ? [`<link rel="stylesheet" href="${assets}${STYLES}">`] : []
    const whole = line.replaceAll('../assets/', assets)
    const isScript = line.startsWith('<script type="module"')
    return isScript ? ['<template class="modules">', ...preloads, '</template>', whole] : [whole]
  })
  return `${made.join('\n')}\n`
}
