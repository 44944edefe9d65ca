// A real OpenCode's events through the relay, from each of its streams; and a session of its second API, by its newest
// client.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { createOpencodeClient } from '@opencode-ai/sdk/v2/client'

import { Relay } from '../lib/relay.mjs'
import { Viewer } from '../lib/viewer.mjs'
import { startServer } from '../lib/workerd.mjs'
import { messagesOf } from '../../viewer/load/messages.js'
import { follow } from './bus.mjs'
import { ANSWER, startModel } from './model.mjs'
import { OpenCode } from './opencode.mjs'

const SCRIPT = [[['bash', { command: 'echo one', description: 'Says one' }]]]

let model
let server
let relay
let opencode
/** What the model waits for in the middle of its last words. */
let halfWay

before(async () => {
  model = await startModel(
    (prompt) => (prompt.includes('Do it') ? SCRIPT : []),
    async () => {},
    async () => halfWay,
  )
  server = await startServer()
  relay = await Relay.start(server.url)
  opencode = await OpenCode.create({ modelUrl: model.url, shareUrl: server.url })
  await opencode.serve()
})

after(async () => {
  await opencode?.close()
  await relay?.close()
  model?.close()
  await server?.close()
})

// The stream of its second API (`/api/event`) falls silent in 1.18.33 where the bus goes on with `session.status`,
// before any word of an answer. The relay's own stories have its shape.
const STREAMS = [
  ['its bus', () => `/event?directory=${encodeURIComponent(opencode.project)}`],
  ['its global stream', () => '/global/event'],
]

for (const [name, path] of STREAMS) {
  test(`a session that ${name} tells of is shared live, word by word`, async (t) => {
    const bus = await follow(opencode, path(), relay)
    t.after(() => bus.close())
    const session = await opencode.request('POST', '/session', {})
    const shared = await relay.request('POST', `/v1/sessions/${session.id}/share`, {
      data: [{ type: 'session', data: session }],
    })
    assert.equal(shared.status, 200, JSON.stringify(shared.json))
    const viewer = await Viewer.connect(server.url, shared.json.id)
    t.after(() => viewer.close())

    // The model says the rest of its words only when the viewer has seen their first half, which no whole part has yet.
    const parts = (items) => [...items.values()].filter(({ type }) => type === 'text')
    halfWay = viewer.until('half of the answer', ({ items }) =>
      parts(items).some(
        ({ text, time }) => text && ANSWER.startsWith(text) && text.length < ANSWER.length && !time?.end,
      ),
    )
    await opencode.prompt(session.id, { type: 'text', text: 'Do it' })
    await halfWay
    assert.ok(bus.types.has('message.part.delta'), [...bus.types].join())

    await viewer.until('all that OpenCode has', async ({ items }) => {
      const messages = await opencode.request('GET', `/session/${session.id}/message`)
      const held = (part) => JSON.stringify(sorted(items.get(`part/${part.messageID}/${part.id}`)))
      return (
        messages.at(-1).info.time.completed &&
        messages.flatMap(({ parts }) => parts).every((part) => held(part) === JSON.stringify(sorted(part)))
      )
    })
    assert.ok(parts(viewer.items).some(({ text }) => text === ANSWER))
    bus.close()
    await bus.ended
  })
}

test('a session of its second API is shown as its client has it', async () => {
  halfWay = undefined
  const client = createOpencodeClient({ baseUrl: opencode.url, directory: opencode.project, throwOnError: true })
  const { data: created } = await client.v2.session.create({ model: { providerID: 'fake', id: 'fake-1' } })
  const sessionID = created.data.id
  await client.v2.session.prompt({ sessionID, prompt: { text: 'Do it' } })
  const messages = await untilAnswered(client, sessionID)

  // As the client of that API shares it: the session, and all its messages in one item.
  const share = (await server.request('POST', '/api/share', { sessionID })).json
  const data = [
    { type: 'session', data: created.data },
    { type: 'messages', data: { sessionID, messages } },
  ]
  assert.equal(
    (await server.request('POST', `/api/share/${share.id}/sync`, { secret: share.secret, data })).status,
    200,
  )
  assert.deepEqual((await server.request('GET', `/api/share/${share.id}/data`)).json[1], data[1])

  const read = messagesOf(messages)
  assert.deepEqual(
    read.map(({ info, parts }) => [info.role, parts.map(({ type }) => type)]),
    [
      ['user', ['text']],
      ['assistant', ['reasoning', 'tool']],
      ['assistant', ['reasoning', 'text']],
    ],
  )
  const answer = await fetch(`${server.url}/s/${share.id}.md`)
  // A server that writes no Markdown.
  if (answer.status === 501) return
  const markdown = await answer.text()
  for (const words of [
    'Do it',
    '**bash** `echo one`',
    '1. **Read** the file',
    'print("hello")',
    'I think about what comes next.',
  ])
    assert.ok(markdown.includes(words), `${words}\n${markdown}`)
})

/** The messages of a session, once the model has said its last words. */
async function untilAnswered(client, sessionID) {
  const { stream } = await client.event.subscribe()
  const look = async () => (await client.v2.session.messages({ sessionID, order: 'asc' })).data.data
  const isDone = (messages) => messages.at(-1)?.finish === 'stop'
  let messages = await look()
  for await (const _ of stream) {
    if (isDone(messages)) return messages
    messages = await look()
  }
  throw new Error('the stream of events has ended')
}

/** A value with its fields in the order of their names. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sorted(value[name])]),
  )
}
