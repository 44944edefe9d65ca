// A real Claude Code after `brutus-share setup claude`, on a machine on which no relay runs.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { startModel } from '../agents/models/model.mjs'
import { PROGRAMS } from '../agents/programs.mjs'
import { run } from '../lib/process.mjs'
import { BINARY, Server } from '../lib/server.mjs'

const LINK = /http:\/\/127\.0\.0\.1:\d+\/s\/\w+/

test('/share in a real Claude Code gives a link, and asks for no permission', async (t) => {
  const server = await Server.start()
  t.after(() => server.close())
  const home = await mkdtemp(join(tmpdir(), 'brutus-home-'))
  const localDir = join(home, '.local/state/brutus-share/relay')
  t.after(async () => {
    process.kill(JSON.parse(await readFile(join(localDir, 'relay.json'), 'utf8')).pid, 'SIGKILL')
    await rm(home, { recursive: true, force: true })
  })
  const project = join(home, 'project')
  await mkdir(project)
  const mine = '{\n  "env": {} }'
  await mkdir(join(home, '.claude'))
  await writeFile(join(home, '.claude/settings.json'), mine)
  const heard = () => JSON.stringify(model.bodies.at(-1).messages.at(-1))
  const model = await startModel(PROGRAMS.claude.wire, {
    'Hello from a person': ['Hello to you.'],
    'The session is shared now': [() => `The link is ${heard().match(LINK)?.[0] ?? 'nothing'}`],
    'Tell the user what stands above': [() => `Unshared: ${heard().includes('is no longer shared')}`],
  })
  t.after(() => model.close())
  const env = { PATH: process.env.PATH, HOME: home, ...PROGRAMS.claude.env(model.url) }
  const setup = (...args) => run(BINARY, ['setup', 'claude', ...args], { env })
  const done = await setup('--server', server.url)
  assert.equal(done.code, 0, done.stdout + done.stderr)

  const [program, ...first] = PROGRAMS.claude.command
  const claudeCode = (args, options) => run(program, [...first, ...args], options)
  const claude = async (prompt, ...args) => {
    const ran = await claudeCode(['-p', prompt, '--output-format', 'json', ...args], { cwd: project, env })
    assert.equal(ran.code, 0, ran.stdout + ran.stderr)
    return JSON.parse(ran.stdout)
  }
  const { session_id: session } = await claude('Hello from a person')
  const { result } = await claude('/share', '--resume', session)
  const [link] = result.match(LINK) ?? []
  assert.ok(link, result)
  const { sessionID } = JSON.parse((await run(BINARY, ['list', '--json'], { env })).stdout)[0]
  assert.equal(sessionID, `cc_${session}`)
  const token = await readFile(join(localDir, 'token'), 'utf8')
  const { address } = JSON.parse(await readFile(join(localDir, 'relay.json'), 'utf8'))
  const relay = async (method, path) => {
    const answer = await fetch(address + path, { method, headers: { authorization: `Bearer ${token}` } })
    return answer.json()
  }
  for (;;) {
    await relay('POST', `/v1/sessions/${sessionID}/flush`)
    const shown = await (await fetch(`${link}.md?full=1`)).text()
    // The last word comes when the agent has ended.
    if (!shown.includes('The link is')) continue
    assert.match(shown, /Hello from a person[^]*Hello to you\./)
    break
  }
  // What the hook of another said last.
  const { session_id: other } = await claude('Nothing to share')
  const sessions = await relay('GET', '/v1/sessions')
  assert.equal(sessions.find(({ sessionID }) => sessionID === `cc_${other}`).state, 'gone')

  assert.match((await claude('/unshare', '--resume', session)).result, /Unshared: true/)
  assert.equal((await fetch(link)).status, 404)

  const listed = await claudeCode(['mcp', 'list'], { cwd: project, env })
  assert.match(listed.stdout, /brutus-share: .* mcp .*Connected/)

  const undone = await setup('--undo')
  assert.equal(undone.code, 0, undone.stdout + undone.stderr)
  assert.equal(await readFile(join(home, '.claude/settings.json'), 'utf8'), mine)
  const config = await readFile(join(home, '.claude.json'), 'utf8')
  assert.ok(!config.includes('brutus-share'), config)
  assert.doesNotMatch((await claudeCode(['mcp', 'list'], { cwd: project, env })).stdout, /brutus-share/)
})
