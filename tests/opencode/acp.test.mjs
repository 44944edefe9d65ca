// A real OpenCode behind ACP, with our proxy in front of it: its client sees what it always does, and so do viewers.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Client } from '../acp/client.mjs'
import { setUp } from '../lib/relay.mjs'
import { Viewer } from '../lib/viewer.mjs'
import { ANSWER, startModel } from './model.mjs'
import { OpenCode } from './opencode.mjs'

const { server, relay } = await setUp()

const SCRIPT = [
  [['read', { filePath: 'hello.txt' }]],
  [['edit', { filePath: 'hello.txt', oldString: 'world', newString: 'you' }]],
  [['bash', { command: 'echo one', description: 'Says one' }]],
]

test('a session of `opencode acp` is shared live', async (t) => {
  let halfWay
  const model = await startModel(
    () => SCRIPT,
    async () => {},
    async () => halfWay,
  )
  const opencode = await OpenCode.create({ modelUrl: model.url, shareUrl: server.url })
  const options = { cwd: opencode.project, env: opencode.env }
  const editor = await Client.start(relay, opencode.acpCommand, options)
  t.after(async () => {
    await editor.close()
    await opencode.close()
    model.close()
  })
  const session = await editor.begin(opencode.project)
  const { url } = await editor.share(session)
  const viewer = await Viewer.connect(server.url, url.split('/').at(-1))
  t.after(() => viewer.close())
  const parts = (type) => [...viewer.items.values()].filter((item) => item.messageID && item.type === type)
  let goOn
  halfWay = new Promise((resolve) => (goOn = resolve))
  const turn = editor.prompt(session, 'Do it')
  await viewer.until('the first words of the answer', () =>
    parts('text').some(({ text }) => text.startsWith('Here is')),
  )
  assert.ok(!parts('text').some(({ text }) => text === ANSWER), 'the turn is not over')
  goOn()
  assert.equal((await turn).stopReason, 'end_turn')
  await viewer.until('the whole answer', () => parts('text').some(({ text }) => text === ANSWER))
  const calls = parts('tool').sort((one, other) => (one.id < other.id ? -1 : 1))
  assert.deepEqual(
    calls.map(({ tool, state }) => [tool, state.status]),
    [
      ['read', 'completed'],
      ['edit', 'completed'],
      ['bash', 'completed'],
    ],
  )
  assert.match(calls[1].state.metadata.files[0].patch, /-world\n\+you/)
  assert.equal(calls[2].state.output.trim(), 'one')
  assert.match(await (await fetch(`${url}.md?full=1`)).text(), /Do it/)
})
