// A network of its own: hosts are network namespaces, on one bridge, with names and addresses of both versions.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { run, start } from '../lib/process.mjs'
import { BINARY } from '../lib/server.mjs'

/** Why such a network cannot be made here; nothing when it can. */
export async function missing() {
  if (process.getuid() !== 0) return 'network namespaces need root'
  try {
    const network = await Network.of('probe')
    await network.close()
  } catch (error) {
    return `networks of namespaces cannot be made here: ${error.message.trim()}`
  }
}

let networks = 0

async function ip(...args) {
  const { code, stderr } = await run('ip', args)
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

export class Network {
  #name = `lan-${process.pid}-${networks++}`
  hosts = []

  /** A network of hosts, by their names; the first is 10.9.0.1 and fd09::1, and so on. */
  static async of(...names) {
    const network = new Network()
    await ip('netns', 'add', network.#name)
    const inside = (...args) => ip('-n', network.#name, ...args)
    await inside('link', 'add', 'lan', 'type', 'bridge', 'mcast_snooping', '0')
    await inside('link', 'set', 'lan', 'up')
    for (const [index, name] of names.entries()) {
      const host = new Host(name, `${network.#name}-${index}`)
      network.hosts.push(host)
      await ip('netns', 'add', host.namespace)
      // No waiting for others that could have the same addresses: there are none.
      await run('ip', ['netns', 'exec', host.namespace, 'sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0'])
      const peer = ['peer', 'name', `port${index}`, 'netns', network.#name]
      await ip('-n', host.namespace, 'link', 'add', 'eth0', 'type', 'veth', ...peer)
      await inside('link', 'set', `port${index}`, 'master', 'lan', 'up')
      await ip('-n', host.namespace, 'link', 'set', 'lo', 'up')
      await ip('-n', host.namespace, 'link', 'set', 'eth0', 'up')
      await host.add(`10.9.0.${index + 1}/24`)
      await host.add(`fd09::${index + 1}/64`)
      host.dir = await mkdtemp(join(tmpdir(), 'brutus-lan-'))
    }
    return network
  }

  async close() {
    for (const host of this.hosts) await host.close()
    await run('ip', ['netns', 'del', this.#name])
  }
}

class Host {
  #running = []

  constructor(name, namespace) {
    Object.assign(this, { name, namespace })
  }

  add(address) {
    return ip('-n', this.namespace, 'address', 'add', address, 'dev', 'eth0')
  }

  remove(address) {
    return ip('-n', this.namespace, 'address', 'del', address, 'dev', 'eth0')
  }

  /** A command as root of this host would run it. */
  #command(command, args) {
    const named = ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', this.name]
    return ['ip', ['netns', 'exec', this.namespace, ...named, command, ...args]]
  }

  get #options() {
    const { PATH } = process.env
    return { env: { PATH, HOME: this.dir, XDG_STATE_HOME: join(this.dir, 'state') } }
  }

  get localDir() {
    return join(this.dir, 'state/brutus-share/relay')
  }

  /** Runs a program; `input` is what a person types. */
  run(command, args, { input = '' } = {}) {
    return run(...this.#command('sh', ['-c', 'printf %s "$0" | "$@"', input, command, ...args]), this.#options)
  }

  /** Runs brutus-share. */
  share(...args) {
    return this.run(BINARY, args)
  }

  /** Starts a program that goes on until the network ends. */
  async start(command, args, ready) {
    const started = await start(...this.#command(command, args), { ready, name: this.name, ...this.#options })
    this.#running.push(started)
    return started
  }

  /** Starts a server; gives it with its fingerprint. */
  async serve(...args) {
    const options = ['serve', '--announce', '--data-dir', join(this.dir, 'data'), ...args]
    const server = await this.start(BINARY, options, /^listening on /m)
    // It is logged before.
    server.fingerprint = server.log.match(/fingerprint=(\S+)/)[1]
    return server
  }

  /** Asks for something at a URL, as this host sees it. */
  async fetch(url, ...args) {
    const { stdout } = await this.run('curl', ['-sS', '-m', '10', '-w', '\n%{http_code}', ...args, url])
    const at = stdout.lastIndexOf('\n')
    return { status: Number(stdout.slice(at + 1)), text: stdout.slice(0, at) }
  }

  /** Asks this host's relay for something. */
  async relay(method, path, body) {
    const { address } = JSON.parse(await readFile(join(this.localDir, 'relay.json'), 'utf8'))
    const token = await readFile(join(this.localDir, 'token'), 'utf8')
    const json = ['-H', 'content-type: application/json', '-d', JSON.stringify(body ?? null)]
    const { status, text } = await this.fetch(
      address + path,
      ...['-X', method, '-H', `authorization: Bearer ${token}`],
      ...(body === undefined ? [] : json),
    )
    return { status, json: JSON.parse(text || 'null') }
  }

  async close() {
    const relay = await readFile(join(this.localDir, 'relay.json'), 'utf8').catch(() => '')
    if (relay) process.kill(JSON.parse(relay).pid, 'SIGKILL')
    for (const { stop } of this.#running) await stop('SIGKILL')
    await run('ip', ['netns', 'del', this.namespace])
    await rm(this.dir, { recursive: true, force: true })
  }
}
