// The agents as npm has them: how each is set up for a model on loopback, started, and how its tools are called.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { PATIENCE } from '../lib/process.mjs'
import * as anthropic from './models/anthropic.mjs'
import * as completions from './models/completions.mjs'
import * as gemini from './models/gemini.mjs'
import * as responses from './models/responses.mjs'

const MODULES = fileURLToPath(new URL('node_modules', import.meta.url))
const KEY = 'SECRET-key-0123456789abcdef'

/** A program of a package, under the alias that it is installed as. */
function command(alias, bin) {
  const dir = join(MODULES, alias)
  const file = join(dir, JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')).bin[bin])
  return /\.[cm]?js$/.test(file) ? [process.execPath, file] : [file]
}

const claude = (alias, subagent) => ({
  alias,
  agent: 'Claude Code',
  tools: ['read', 'bash', 'write', 'edit', 'bash'],
  delegate: (prompt) => ({
    name: subagent,
    input: { description: 'Counts', prompt, subagent_type: 'general-purpose' },
  }),
  wire: anthropic,
  command: command(alias, 'claude'),
  instructions: 'CLAUDE.md',
  sessions: '.claude/projects',
  env: (url) => ({
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: KEY,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
    IS_SANDBOX: '1',
  }),
  args: (prompt, session) => [
    '-p',
    prompt,
    '--dangerously-skip-permissions',
    ...(session ? ['--resume', session] : []),
  ],
  read: (file_path) => ({ name: 'Read', input: { file_path } }),
  run: (command) => ({ name: 'Bash', input: { command, description: 'Runs it' } }),
  write: (file_path, content) => ({ name: 'Write', input: { file_path, content } }),
  edit: (file_path, old_string, new_string) => ({ name: 'Edit', input: { file_path, old_string, new_string } }),
})

const codex = (alias, model, shell, settings = []) => ({
  alias,
  agent: 'Codex',
  isSharedByHand: true,
  tools: ['bash', 'bash', 'apply_patch', 'apply_patch', 'bash'],
  wire: responses,
  command: command(alias, 'codex'),
  instructions: 'AGENTS.md',
  sessions: '.codex/sessions',
  files: (url) => ({
    '.codex/config.toml': [
      `model = "${model}"`,
      'model_provider = "scripted"',
      'approval_policy = "never"',
      'sandbox_mode = "danger-full-access"',
      '[model_providers.scripted]',
      'name = "Scripted"',
      `base_url = "${url}/v1"`,
      'wire_api = "responses"',
      'env_key = "MODEL_KEY"',
      'request_max_retries = 0',
      ...settings,
    ].join('\n'),
  }),
  env: () => ({ MODEL_KEY: KEY }),
  args: (prompt, session) =>
    session
      ? ['exec', '--json', '--skip-git-repo-check', 'resume', session, prompt]
      : ['exec', '--json', '--skip-git-repo-check', prompt],
  run: (text) => shell(text),
  read: (path) => shell(`cat ${path}`),
  write: (path, content) =>
    patch(
      `*** Add File: ${path}`,
      ...content
        .trimEnd()
        .split('\n')
        .map((line) => `+${line}`),
    ),
  edit: (path, before, after) => patch(`*** Update File: ${path}`, '@@', `-${before}`, `+${after}`),
})
const patch = (...lines) => ({
  name: 'apply_patch',
  input: ['*** Begin Patch', ...lines, '*** End Patch', ''].join('\n'),
})

const piModel = ['--provider', 'scripted', '--model', 'fake-1']

const geminiTools = {
  tools: ['read', 'bash', 'write', 'edit', 'bash'],
  run: (command) => ({ name: 'run_shell_command', input: { command, description: 'Runs it' } }),
  write: (file_path, content) => ({ name: 'write_file', input: { file_path, content } }),
}

export const PROGRAMS = {
  claude: claude('claude', 'Agent'),
  claudeOld: claude('claude-old', 'Task'),
  codex: {
    ...codex('codex', 'gpt-5.5', (cmd) => ({ name: 'exec_command', input: { cmd } }), [
      '[agents]',
      'enabled = true',
      '[features]',
      'multi_agent_v2 = true',
    ]),
    delegate: (message) => ({
      name: 'spawn_agent',
      namespace: 'collaboration',
      input: { message, task_name: 'counts', fork_turns: 'all' },
    }),
    wait: { name: 'wait_agent', namespace: 'collaboration', input: { timeout_ms: 20_000 } },
  },
  codexOld: codex('codex-old', 'gpt-5.1-codex', (command) => ({ name: 'shell_command', input: { command } })),
  gemini: {
    alias: 'gemini',
    agent: 'Gemini CLI',
    wire: gemini,
    command: command('gemini', 'gemini'),
    instructions: 'GEMINI.md',
    sessions: '.gemini/tmp',
    files: () => ({
      '.gemini/settings.json': JSON.stringify({ security: { auth: { selectedType: 'gemini-api-key' } } }),
    }),
    env: (url) => ({ GEMINI_API_KEY: KEY, GOOGLE_GEMINI_BASE_URL: url, GEMINI_CLI_TRUST_WORKSPACE: 'true' }),
    args: (prompt, session) => [
      '--yolo',
      '-m',
      'gemini-2.5-flash',
      '-p',
      prompt,
      ...(session ? ['--resume', session] : []),
    ],
    ...geminiTools,
    read: (file_path) => ({ name: 'read_file', input: { file_path } }),
    edit: (file_path, old_string, new_string) => ({
      name: 'replace',
      input: { instruction: 'Mend it', file_path, old_string, new_string },
    }),
  },
  qwen: {
    alias: 'qwen',
    agent: 'Qwen Code',
    streams: true,
    wire: completions,
    command: command('qwen', 'qwen'),
    instructions: 'QWEN.md',
    sessions: '.qwen/projects',
    env: (url) => ({ OPENAI_API_KEY: KEY, OPENAI_BASE_URL: `${url}/v1`, OPENAI_MODEL: 'fake-1' }),
    args: (prompt, session) => [
      '--yolo',
      '--auth-type',
      'openai',
      '--output-format',
      'stream-json',
      '--include-partial-messages',
      ...(session ? ['--resume', session] : []),
      '-p',
      prompt,
    ],
    ...geminiTools,
    read: (file_path) => ({ name: 'read_file', input: { file_path } }),
    edit: (file_path, old_string, new_string) => ({ name: 'edit', input: { file_path, old_string, new_string } }),
  },
  pi: {
    alias: 'pi',
    agent: 'pi',
    streams: true,
    isSharedByHand: true,
    tools: ['read', 'bash', 'write', 'edit', 'bash'],
    wire: completions,
    command: command('pi', 'pi'),
    instructions: 'AGENTS.md',
    sessions: '.pi/agent/sessions',
    files: (url) => ({
      '.pi/agent/models.json': JSON.stringify({
        providers: {
          scripted: { baseUrl: `${url}/v1`, api: 'openai-completions', apiKey: KEY, models: [{ id: 'fake-1' }] },
        },
      }),
    }),
    env: () => ({ PI_OFFLINE: '1' }),
    args: (prompt, session) => [...piModel, ...(session ? ['--session', session] : []), '-p', prompt],
    talks: {
      args: (session) => [...piModel, '--session', session, '--mode', 'rpc'],
      prompt: (message) => `${JSON.stringify({ type: 'prompt', message })}\n`,
      abort: `${JSON.stringify({ type: 'abort' })}\n`,
    },
    read: (path) => ({ name: 'read', input: { path } }),
    run: (command) => ({ name: 'bash', input: { command } }),
    write: (path, content) => ({ name: 'write', input: { path, content } }),
    edit: (path, oldText, newText) => ({ name: 'edit', input: { path, edits: [{ oldText, newText }] } }),
  },
}

/** A program with a home and a project. */
export class Agent {
  constructor(program, home, project, url) {
    Object.assign(this, { program, home, project, url })
  }

  static async create(program, home, url) {
    const agent = new Agent(program, home, join(home, 'project'), url)
    const files = {
      'project/greeting.txt': 'Good morning\nfrom the file\n',
      [`project/${program.instructions}`]: 'Speak like SECRET-instructions.\n',
      ...program.files?.(url),
    }
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(home, name)), { recursive: true })
      await writeFile(join(home, name), text)
    }
    return agent
  }

  /**
   * Starts a turn: in a new session, or in one that there is. A program that does not note down that it got a signal
   * `talks`: it is told on its standard input what to do.
   */
  start(prompt, session, talks = undefined) {
    const { program, home, project, url } = this
    const [file, ...args] = [...program.command, ...(talks?.args(session) ?? program.args(prompt, session))]
    const env = { PATH: process.env.PATH, HOME: home, PLANTED: 'SECRET-environment', ...program.env(url) }
    const stdio = [talks ? 'pipe' : 'ignore', 'pipe', 'pipe']
    const child = spawn(file, args, { cwd: project, env, stdio, timeout: PATIENCE, detached: true })
    // As a terminal does with ^C: to all processes of the program.
    const turn = { output: '', interrupt: () => process.kill(-child.pid, 'SIGINT') }
    if (talks) {
      child.stdin.write(talks.prompt(prompt))
      turn.interrupt = () => child.stdin.write(talks.abort)
      turn.leave = () => child.stdin.end()
    }
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (turn.output += text))
    turn.ended = once(child, 'close').then(([code]) => ({ code, output: turn.output }))
    return turn
  }

  /** Runs a turn to its end. */
  run(prompt, session) {
    return this.start(prompt, session).ended
  }

  /** The files that it has written of its sessions in which words stand. */
  async transcripts(words) {
    const root = join(this.home, this.program.sessions)
    const names = await readdir(root, { recursive: true }).catch(() => [])
    const found = []
    for (const name of names.filter((name) => /\.jsonl?$/.test(name))) {
      const text = await readFile(join(root, name), 'utf8').catch(() => '')
      if (text.includes(words)) found.push({ path: join(root, name), text })
    }
    return found
  }
}
