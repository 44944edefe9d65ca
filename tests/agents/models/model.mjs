// Language models that play a script, each in the wire of its maker.

import { once } from 'node:events'
import { createServer } from 'node:http'

/**
 * Starts a model that speaks `wire`. Its `turns` are lists of steps by the prompt that they answer (or words of it): a
 * text, a call `{ name, input }`, an `{ error }` with what it says, a `{ hang }` in the middle of an answer; or a
 * function that gives one of these, when it is time for it. What is past the last step is 'Done.'.
 */
export async function startModel(wire, turns) {
  const model = { bodies: [], answers: 0 }
  model.hangs = new Promise((resolve) => (model.hung = resolve))
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    if (request.method !== 'POST' || !wire.path.test(request.url)) return response.writeHead(404).end()
    const body = JSON.parse(text)
    model.bodies.push(body)
    let step = next(wire, body, turns)
    if (typeof step === 'function') step = await step()
    if (step.error) {
      const error = { type: 'invalid_request_error', message: step.error, code: 400, status: 'INVALID_ARGUMENT' }
      response.writeHead(400, { 'content-type': 'application/json' })
      return response.end(JSON.stringify({ type: 'error', error }))
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const events = wire.events(step.hang ?? step, (model.answers += 1))
    for (const event of step.hang ? events.slice(0, Math.ceil(events.length / 2)) : events) {
      if (event.type) response.write(`event: ${event.type}\n`)
      response.write(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`)
    }
    if (step.hang) return model.hung()
    response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  model.url = `http://127.0.0.1:${server.address().port}`
  model.close = () => {
    server.closeAllConnections()
    server.close()
  }
  return model
}

/** What a model answers to a request: its place is that of the newest prompt, and the answers behind that. */
function next(wire, body, turns) {
  // Requests beside the conversation, such as for a title, have no tools.
  if (!body.tools?.length) return 'A title'
  const entries = wire.conversation(body)
  // Programs put prompts that nobody answered into one message: the last one counts.
  const newest = (text) =>
    Object.keys(turns)
      .filter((words) => text.includes(words))
      .sort((a, b) => text.lastIndexOf(b) - text.lastIndexOf(a))[0]
  for (let at = entries.length - 1; at >= 0; at -= 1) {
    const { isModel, text } = entries[at]
    const prompt = isModel ? undefined : newest(text)
    if (!prompt) continue
    const answers = entries.slice(at).filter((entry, nth, all) => entry.isModel && !all[nth - 1]?.isModel).length
    return turns[prompt][answers] ?? 'Done.'
  }
  return 'Done.'
}

/** The texts of a message, whose content is a string or pieces. */
export function textOf(content) {
  if (typeof content === 'string') return content
  return (content ?? []).map((piece) => piece.text ?? piece.encrypted_content ?? '').join('\n')
}
