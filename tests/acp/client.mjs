// A client of the official library, in front of our proxy, in front of an agent.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import { client, methods, ndJsonStream } from '@agentclientprotocol/sdk'

import { Changing } from '../lib/changing.mjs'
import { BINARY } from '../lib/server.mjs'

export const AGENT = [process.execPath, fileURLToPath(new URL('agent.mjs', import.meta.url))]

/** How the proxy of an agent is started for a relay. */
export const proxied = (relay, agent) => [
  BINARY,
  ['acp', '--relay', relay.url, '--local-dir', relay.localDir, '--', ...agent],
]

export class Client extends Changing {
  updates = []
  permissions = 0

  static async start(relay, agent = AGENT, options = {}) {
    const editor = new Client()
    editor.process = spawn(...proxied(relay, agent), { stdio: ['pipe', 'pipe', 'inherit'], ...options })
    editor.ended = once(editor.process, 'exit')
    const stream = ndJsonStream(Writable.toWeb(editor.process.stdin), Readable.toWeb(editor.process.stdout))
    const connection = client({ name: 'editor' })
      .onNotification(methods.client.session.update, ({ params }) => {
        editor.updates.push(params)
        editor.changed()
      })
      .onRequest(methods.client.session.requestPermission, async ({ params }) => {
        editor.permissions += 1
        editor.changed()
        await new Promise((resolve) => (editor.allow = resolve))
        return { outcome: { outcome: 'selected', optionId: params.options[0].optionId } }
      })
      .connect(stream)
    editor.agent = connection.agent
    await editor.agent.request(methods.agent.initialize, {
      protocolVersion: 1,
      clientCapabilities: {},
      clientInfo: { name: 'editor', version: '1' },
    })
    return editor
  }

  async begin(cwd = '/p', mcpServers = []) {
    const { sessionId } = await this.agent.request(methods.agent.session.new, { cwd, mcpServers })
    return sessionId
  }

  prompt(sessionId, text) {
    return this.agent.request(methods.agent.session.prompt, { sessionId, prompt: [{ type: 'text', text }] })
  }

  /** Asks the proxy to share; gives the link. */
  async share(sessionId) {
    const before = this.updates.length
    const { stopReason } = await this.prompt(sessionId, '/share')
    const said = this.updates.slice(before).map(({ update }) => update.content?.text)
    return { stopReason, text: said.join(''), url: said.join('').match(/http:\S+/)?.[0] }
  }

  go() {
    return this.agent.notify('test/go', {})
  }

  async close() {
    this.process.stdin.end()
    await this.ended
  }
}
