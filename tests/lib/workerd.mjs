// The server of packaging/cloudflare, by workerd in a process of its own. `packaging/cloudflare/build.mjs` has to have
// run before.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import workerd from 'workerd'

import { start } from './process.mjs'
import { Server } from './server.mjs'

const FOLDER = fileURLToPath(new URL('../../packaging/cloudflare', import.meta.url))

export class Workerd extends Server {
  /** Its arguments are variables, `MAX_BODY=4096`. */
  async run(listen) {
    const data = join(this.dir, 'data')
    await mkdir(data, { recursive: true })
    const args = [
      'serve',
      '--experimental',
      '--control-fd=1',
      'config.capnp',
      '-d',
      `shares=${data}`,
      '-s',
      `http=${listen}`,
    ]
    const env = { ...process.env, ...Object.fromEntries(this.args.map((given) => given.split(/=(.*)/s))) }
    this.process = await start(workerd.default, args, {
      ready: /"socket":"http","port":(\d+)/,
      name: 'workerd',
      cwd: FOLDER,
      env,
    })
    this.address = `127.0.0.1:${this.process.match[1]}`
    this.url = `http://${this.address}`
  }
}

/** What serves in a test that both servers have to pass. */
export const startServer = () => (process.env.TARGET === 'workerd' ? Workerd.start() : Server.start())
