// A real Claude Code, and a model for it.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'

export const CLAUDE = fileURLToPath(new URL('../agents/node_modules/.bin/claude', import.meta.url))

/** The environment of a Claude Code that has nothing but a home directory and a model. */
export const environment = (home, model) => ({
  PATH: process.env.PATH,
  HOME: home,
  ANTHROPIC_BASE_URL: `http://127.0.0.1:${model.address().port}`,
  ANTHROPIC_API_KEY: 'x',
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  DISABLE_AUTOUPDATER: '1',
  IS_SANDBOX: '1',
})

/**
 * A model that plays its steps in Anthropic's wire: a call `{ name, input }`, a text, or what makes one of these out of
 * the conversation.
 */
export async function startModel(steps) {
  const model = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    if (!request.url.startsWith('/v1/messages') || request.method !== 'POST') return response.writeHead(404).end()
    const { messages, tools = [] } = JSON.parse(body)
    // Requests beside the conversation, such as for a title, have no tools.
    const done = messages.filter(({ role }) => role === 'assistant').length
    const next = tools.length ? (steps[done] ?? 'Done.') : 'A title'
    const step = typeof next === 'function' ? next(messages) : next
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of events(step)) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    response.end()
  })
  model.listen(0, '127.0.0.1')
  await once(model, 'listening')
  return model
}

let calls = 0
function events(step) {
  const usage = { input_tokens: 10, output_tokens: 5 }
  const isCall = typeof step !== 'string'
  calls += 1
  const message = { id: `msg_${calls}`, type: 'message', role: 'assistant', model: 'claude-test', content: [], usage }
  const block = isCall
    ? { type: 'tool_use', id: `toolu_${calls}`, name: step.name, input: {} }
    : { type: 'text', text: '' }
  const delta = isCall
    ? { type: 'input_json_delta', partial_json: JSON.stringify(step.input) }
    : { type: 'text_delta', text: step }
  return [
    { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null } },
    { type: 'content_block_start', index: 0, content_block: block },
    { type: 'content_block_delta', index: 0, delta },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: isCall ? 'tool_use' : 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]
}
