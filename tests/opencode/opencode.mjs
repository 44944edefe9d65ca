// A real OpenCode, with a home and a project of its own.

import { execFile, execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { start } from '../lib/process.mjs'

export const BINARY = fileURLToPath(new URL('../node_modules/.bin/opencode', import.meta.url))

export class OpenCode {
  /** Lays a home and a project out. `shareUrl` is its `enterprise.url`; `mcp` the servers that it may use. */
  static async create({ modelUrl, shareUrl, mcp = {} }) {
    const opencode = new OpenCode()
    opencode.dir = await mkdtemp(join(tmpdir(), 'opencode-'))
    opencode.project = join(opencode.dir, 'project')
    const home = join(opencode.dir, 'home')
    await mkdir(home)
    await mkdir(opencode.project)
    const inherited = Object.entries(process.env).filter(([name]) => !/^(XDG_|OPENCODE)/.test(name))
    opencode.env = {
      ...Object.fromEntries(inherited),
      HOME: home,
      XDG_DATA_HOME: join(home, 'data'),
      XDG_CONFIG_HOME: join(home, 'config'),
      XDG_STATE_HOME: join(home, 'state'),
      XDG_CACHE_HOME: join(home, 'cache'),
    }
    const model = {
      name: 'Fake',
      tool_call: true,
      reasoning: true,
      attachment: true,
      modalities: { input: ['text', 'image'], output: ['text'] },
      limit: { context: 100000, output: 8000 },
    }
    const config = {
      share: 'manual',
      autoupdate: false,
      enterprise: { url: shareUrl },
      model: 'fake/fake-1',
      small_model: 'fake/fake-1',
      permission: { '*': 'allow' },
      mcp,
      provider: {
        fake: {
          npm: '@ai-sdk/openai-compatible',
          name: 'Fake',
          options: { baseURL: modelUrl, apiKey: 'x' },
          models: { 'fake-1': model },
        },
      },
    }
    await writeFile(join(opencode.project, 'opencode.json'), JSON.stringify(config))
    await writeFile(join(opencode.project, 'hello.txt'), 'hello\nworld\n')
    const git = (...args) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], { cwd: opencode.project })
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'start')
    return opencode
  }

  /** How it is started as an agent that speaks ACP. */
  get acpCommand() {
    return [BINARY, 'acp']
  }

  /** Starts its HTTP server. */
  async serve() {
    const options = { ready: /listening on (http:\/\/\S+)/, name: 'opencode', cwd: this.project, env: this.env }
    this.process = await start(BINARY, ['serve', '--port', '0', '--hostname', '127.0.0.1'], options)
    this.url = this.process.match[1]
  }

  async request(method, path, body) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}\n${this.process.log}`)
    return text ? JSON.parse(text) : undefined
  }

  /** Asks, and waits for the end of the turn. */
  prompt(session, ...parts) {
    return this.request('POST', `/session/${session}/message`, {
      model: { providerID: 'fake', modelID: 'fake-1' },
      parts,
    })
  }

  /** Runs a command in the project; gives its output. */
  async run(...args) {
    const { stdout } = await promisify(execFile)(BINARY, args, {
      cwd: this.project,
      env: this.env,
      maxBuffer: 64 << 20,
    })
    return stdout
  }

  async close() {
    await this.process?.stop('SIGKILL')
    // What it has started may still write there.
    await rm(this.dir, { recursive: true, force: true, maxRetries: 20 })
  }
}
