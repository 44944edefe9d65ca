// What happens with every agent: it works, somebody shares its session, and all that it shows is at the link.

import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'

import { PATIENCE, run } from '../lib/process.mjs'
import { Reader } from '../lib/reader.mjs'
import { setUp } from '../lib/relay.mjs'
import { BINARY } from '../lib/server.mjs'
import { startModel } from './models/model.mjs'
import { Agent } from './programs.mjs'

/** Longer than a change takes from the agent's file to a viewer, in milliseconds, on a machine that has much to do. */
const LATE = 4000

/** Longer than it takes until all that was written is at the server, in milliseconds. */
const SETTLED = 20_000

/** What every session says, by its turns. */
export const MEND = 'Mend the greeting'
export const LOOK = 'Look again'
export const FAIL = 'Fail now'
export const WAIT = 'Wait now'

/** A value that is given from outside. */
function promised() {
  let resolve
  const promise = new Promise((done) => (resolve = done))
  return Object.assign(promise, { resolve })
}

/** Does something again until it gives something; what is waited for is another program's, and tells nobody. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`never: ${what}`)
    await sleep(5)
  }
}

/** What an assertion gives, as soon as it holds; what goes wrong, when it does not in time. */
export async function settled(assertion) {
  const end = Date.now() + SETTLED
  for (;;) {
    try {
      return await assertion()
    } catch (error) {
      if (Date.now() > end) throw error
      await sleep(50)
    }
  }
}

export class Story {
  /** The whole of it. */
  static async tell(t, program, ...turns) {
    const story = await Story.begin(t, program)
    await story.mend()
    await story.look()
    await story.fail()
    await story.interrupt()
    await story.end(...turns)
  }

  /** An agent of a program, a model for it, and a relay that knows where agents of this home keep their sessions. */
  static async begin(t, program, turns = {}) {
    const story = new Story()
    const { server, relay } = await setUp()
    const project = join(relay.dir, 'project')
    const [greeting, notes] = ['greeting.txt', 'notes.txt'].map((name) => join(project, name))
    const reached = promised()
    const shared = promised()
    const model = await startModel(program.wire, {
      [MEND]: [
        program.read(greeting),
        program.run('echo going; exit 3'),
        async () => {
          reached.resolve()
          await shared
          return program.write(notes, 'one\ntwo\n')
        },
        async () => {
          await relay.kill()
          return program.edit(greeting, 'Good morning', 'Good evening')
        },
        async () => {
          await relay.restart()
          return 'It is mended.'
        },
      ],
      [LOOK]: [program.run('cat notes.txt'), 'Two lines.'],
      [FAIL]: [{ error: 'the model is out of order' }],
      [WAIT]: [{ hang: 'Half an answer' }],
      ...turns,
    })
    t.after(() => model.close())
    const agent = await Agent.create(program, relay.dir, model.url)
    return Object.assign(story, { t, program, server, relay, model, agent, reached, shared })
  }

  /** The session as the relay lists it. */
  async listed() {
    return until('the session is listed', async () => {
      const { json } = await this.relay.request('GET', '/v1/sessions')
      return json.find(({ title }) => title === MEND)
    })
  }

  /** Shares the session, as a person in the agent's directory does or by its id. */
  async share() {
    if (this.program.isSharedByHand) {
      const options = ['--relay', this.relay.url, '--local-dir', this.relay.localDir]
      const { code, stdout, stderr } = await run(BINARY, ['share', ...options], { cwd: this.agent.project })
      assert.equal(code, 0, stderr)
      assert.ok(stdout.includes(MEND) && stdout.includes(this.program.agent), stdout)
      const url = stdout.trim().split('\n').at(-1)
      return { url, id: url.split('/').at(-1) }
    }
    const { status, json } = await this.relay.request('POST', `/v1/sessions/${this.session}/share`, {})
    assert.equal(status, 200, JSON.stringify(json))
    return json
  }

  async data() {
    return (await this.server.request('GET', `/api/share/${this.id}/data`)).json
  }

  /** The first turn, in the middle of which the session is shared, and the relay is killed and comes back. */
  async mend() {
    const { t, program, relay, server, agent } = this
    const turn = agent.start(MEND)
    await Promise.race([this.reached, turn.ended.then(({ output }) => assert.fail(output))])
    const known = await this.listed()
    assert.equal(known.agent, program.agent)
    assert.equal(known.directory, agent.project)
    assert.equal(known.url, undefined)
    this.session = known.sessionID
    const { id, url } = await this.share()
    Object.assign(this, { id, url })
    this.reader = new Reader(server.url, id)
    t.after(() => this.reader.close())
    await this.reader.live()
    this.shared.resolve()
    const ended = await turn.ended
    assert.equal(ended.code, 0, ended.output)
    await this.shows('It is mended.')
    // The id by which the agent itself knows it.
    this.own = this.session.replace(/^[a-z]+_/, '')
    assert.equal((await this.listed()).url, url)
    assert.ok(relay.log)
  }

  /** Waits until a viewer sees a part. */
  shows(words) {
    return this.reader.until(`a viewer sees ${words}`, ({ data }) =>
      data.some(({ type, data }) => type === 'part' && data.text === words),
    )
  }

  /** A turn in the session that there is; says how long its last word took from the agent's file to a viewer. */
  async look() {
    const turn = this.agent.start(LOOK, this.own)
    const words = 'Two lines.'
    const seen = this.shows(words).then(() => performance.now())
    const written = await until('its words are written', async () => {
      return (await this.agent.transcripts(words)).length && performance.now()
    })
    const took = Math.max(0, (await seen) - written)
    this.t.diagnostic(`${this.program.alias}: ${Math.round(took)} ms from the agent's file to a viewer`)
    assert.ok(took < LATE, `${took} ms`)
    const ended = await turn.ended
    assert.equal(ended.code, 0, ended.output)
  }

  /** A turn that the model refuses. */
  async fail() {
    const { output } = await this.agent.run(FAIL, this.own)
    assert.match(output, /the model is out of order/)
    return output
  }

  /** A turn that is interrupted in the middle of an answer. */
  async interrupt() {
    const turn = this.agent.start(WAIT, this.own, this.program.talks)
    await Promise.race([this.model.hangs, turn.ended.then(({ output }) => assert.fail(output))])
    if (this.program.streams) await until('it has half of the answer', () => turn.output.includes('Half an answer'))
    turn.interrupt()
    if (turn.leave) {
      await until('it says that it stopped', () => /"stopReason":"aborted"/.test(turn.output))
      turn.leave()
    }
    await turn.ended
  }

  /**
   * What is at the link is all that there was, once, and nothing of what the program told the model beside it. `turns`
   * are the prompts, each with the answers and the names of the errors that it got.
   */
  async end(...turns) {
    const { program } = this
    const view = await settled(async () => {
      const view = outline(await this.data(), this.session)
      assert.deepEqual(view.turns, turns)
      return view
    })
    for (const { name, data } of view.errors)
      assert.match(data.message, name === 'APIError' ? /the model is out of order/ : /stopped/)
    const [read, failed, wrote, edited, looked] = view.tools
    assert.deepEqual(
      view.tools.slice(0, 5).map(({ tool }) => tool),
      program.tools,
    )
    for (const { state } of view.tools) assert.equal(state.status, 'completed', JSON.stringify(state))
    assert.match(read.state.output, /Good morning\n.*from the file/)
    assert.match(failed.state.output, /^going/)
    assert.equal(failed.state.metadata.exit, 3)
    assert.match(JSON.stringify(wrote.state), /one.*two/)
    assert.match(JSON.stringify(edited.state), /-Good morning.*\+Good evening/)
    assert.match(looked.state.output, /^one\ntwo/)

    const errors = view.errors.map(({ name }) => name)
    const markdown = await (await fetch(`${this.url}.md?full=1`)).text()
    for (const words of [
      ...turns.flat().filter((words) => !errors.includes(words)),
      'echo going; exit 3',
      'Good evening',
      'cat notes.txt',
    ])
      assert.ok(markdown.includes(words), `${words}\n${markdown}`)

    await this.hides(markdown)
    await this.isWhole()
  }

  /** Nothing that was planted is anywhere, nor anything that the program tells the model beside the conversation. */
  async hides(markdown) {
    const { relay, server, program, model } = this
    const kept = [relay.log, markdown, JSON.stringify(await this.data())]
    for (const dir of [relay.localDir, join(server.dir, 'data')])
      for (const entry of await readdir(dir, { recursive: true, withFileTypes: true }))
        if (entry.isFile()) kept.push(await readFile(join(entry.parentPath ?? entry.path, entry.name), 'latin1'))
    const told = model.bodies.flatMap((body) => program.wire.instructions(body).split('\n'))
    const secret = new Set(told.map((line) => line.trim()).filter((line) => line.length > 40))
    assert.ok(secret.size > 10, 'a program has instructions for its model')
    assert.ok(model.bodies.some((body) => JSON.stringify(body).includes('SECRET-instructions')))
    for (const text of kept) {
      assert.doesNotMatch(text, /SECRET-/)
      for (const line of secret) assert.ok(!text.includes(line), line)
    }
  }

  /** What is at the link when nothing has changed for longer than a follower waits before it looks again. */
  async resting() {
    let data = await this.data()
    for (;;) {
      await sleep(1500)
      const newer = await this.data()
      if (isDeepStrictEqual(newer, data)) return data
      data = newer
    }
  }

  /** What was followed in pieces is what the transcript gives when it is read at once. */
  async isWhole() {
    const { json: sessions } = await this.relay.request('GET', '/v1/sessions')
    assert.equal(sessions.length, 1, JSON.stringify(sessions))
    const before = await this.resting()
    assert.equal((await this.relay.request('DELETE', `/v1/sessions/${this.session}/share`)).status, 200)
    const { id, url } = await this.share()
    Object.assign(this, { id, url })
    await this.relay.request('POST', `/v1/sessions/${this.session}/flush`)
    const stable = (data) => data.filter(({ type }) => type !== 'status')
    assert.deepEqual(stable(await this.data()), stable(before))
  }
}

/**
 * The turns of a session, each a prompt and its answers and the names of errors, its calls, and its errors; those of
 * subagents aside.
 */
export function outline(data, session) {
  const turns = []
  const tools = []
  const errors = []
  for (const { type, data: item } of data) {
    if (item.sessionID !== session) continue
    if (type === 'message') {
      if (item.role === 'user') turns.push([])
      if (item.error) turns.at(-1)?.push(item.error.name)
      if (item.error) errors.push(item.error)
    }
    if (type !== 'part') continue
    if (item.type === 'text') turns.at(-1)?.push(item.text)
    if (item.type === 'tool') tools.push(item)
  }
  return { turns, tools, errors }
}
