// An agent that speaks ACP by the official library, and plays what its prompts name. It goes on where its client says
// `test/go`: a method that nobody between them knows.

import { readFile, writeFile } from 'node:fs/promises'
import { Readable, Writable } from 'node:stream'

import { agent, methods, ndJsonStream } from '@agentclientprotocol/sdk'

const [, , history] = process.argv
const any = (params) => params

let go = () => {}
let cancelled = () => {}
let sessions = 0
let prompts = 0

/** What was said in a session, kept in a file so that another life can load it. */
async function said(update) {
  if (!history) return
  const all = JSON.parse(await readFile(history, 'utf8').catch(() => '[]'))
  await writeFile(history, JSON.stringify([...all, update]))
}

const text = (text) => ({ type: 'text', text })
const words = (content) => ({ sessionUpdate: 'agent_message_chunk', content: text(content) })

const PLAYS = {
  async stream({ say, wait }) {
    await say({ sessionUpdate: 'agent_thought_chunk', content: text('I think ') })
    await say({ sessionUpdate: 'agent_thought_chunk', content: text('aloud.') })
    await say(words('The first '))
    await wait()
    await say(words('and the second half.'))
  },
  async tools({ say, ask }) {
    const call = (toolCallId, more) => say({ sessionUpdate: 'tool_call', toolCallId, ...more })
    const update = (toolCallId, more) => say({ sessionUpdate: 'tool_call_update', toolCallId, ...more })
    await call('read', {
      title: 'Read notes.txt',
      kind: 'read',
      status: 'pending',
      locations: [{ path: '/p/notes.txt' }],
    })
    await update('read', { status: 'completed', content: [{ type: 'content', content: text('what it says') }] })
    await say({
      sessionUpdate: 'plan',
      entries: [{ content: 'Change the notes', priority: 'high', status: 'in_progress' }],
    })
    const answer = await ask({ toolCallId: 'edit', title: 'Edit notes.txt', kind: 'edit', status: 'pending' })
    await say(words(`You chose ${answer.outcome.optionId}.`))
    const content = [{ type: 'diff', path: '/p/notes.txt', oldText: 'old line\n', newText: 'new line\n' }]
    await update('edit', { status: 'completed', content })
  },
  async run({ say, wait }) {
    await say(words('Starting.'))
    await say({ sessionUpdate: 'tool_call', toolCallId: `run${prompts}`, title: 'sleep', kind: 'execute' })
    await wait()
  },
  async fail() {
    throw new Error('there is no model')
  },
}

agent({ name: 'scripted' })
  .onRequest(methods.agent.initialize, () => ({
    protocolVersion: 1,
    agentInfo: { name: 'scripted', title: 'Scripted agent', version: '1.2.3' },
    agentCapabilities: { loadSession: true },
  }))
  .onRequest(methods.agent.session.new, ({ params, client }) => {
    sessions += 1
    const sessionId = `${process.env.SESSION ?? 'session'}-${sessions}`
    if (params.cwd.endsWith('with-commands')) {
      const availableCommands = [{ name: 'web', description: 'Searches' }]
      const update = { sessionUpdate: 'available_commands_update', availableCommands }
      setImmediate(() => client.notify(methods.client.session.update, { sessionId, update }))
    }
    return { sessionId }
  })
  .onRequest(methods.agent.session.load, async ({ params, client }) => {
    for (const update of JSON.parse(await readFile(history, 'utf8'))) {
      await client.notify(methods.client.session.update, { sessionId: params.sessionId, update })
    }
    return {}
  })
  .onRequest(methods.agent.session.prompt, async ({ params: { sessionId, prompt }, client }) => {
    prompts += 1
    for (const content of prompt) await said({ sessionUpdate: 'user_message_chunk', content })
    const [{ text: asked }] = prompt
    let stopReason = 'end_turn'
    const isCancelled = new Promise((resolve) => {
      cancelled = () => {
        stopReason = 'cancelled'
        resolve()
      }
    })
    const say = async (update) => {
      await said(update)
      await client.notify(methods.client.session.update, { sessionId, update })
    }
    const wait = () => Promise.race([isCancelled, new Promise((resolve) => (go = resolve))])
    const options = [{ optionId: 'yes', name: 'Yes', kind: 'allow_once' }]
    const ask = (toolCall) => client.request(methods.client.session.requestPermission, { sessionId, toolCall, options })
    const play = PLAYS[asked.split(' ', 1)[0]]
    if (play) await play({ say, wait, ask })
    else await say(words(`You said: ${asked}`))
    return { stopReason }
  })
  .onNotification(methods.agent.session.cancel, () => cancelled())
  .onNotification('test/go', any, () => go())
  .connect(ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)))
