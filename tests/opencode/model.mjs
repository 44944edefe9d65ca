// A language model that plays a script: it speaks the OpenAI-compatible wire, streams, and calls tools.

import { once } from 'node:events'
import { createServer } from 'node:http'

export const ANSWER =
  'Here is the plan:\n\n1. **Read** the file\n2. *Edit* it\n\n```python\nprint("hello")\n```\n\n' +
  '| a | b |\n|---|---|\n| 1 | 2 |\n'

/**
 * Starts the model. `script(prompt)` gives the steps of a turn: each a list of tool calls `[name, input]`; when they
 * are used up, the model waits for `lastWord(prompt)`, and answers in words; after the first half of these it waits for
 * `halfWay(prompt)`. `heard` has the messages of each request.
 */
export async function startModel(script, lastWord = async () => {}, halfWay = async () => {}) {
  const heard = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    if (request.method !== 'POST' || !request.url.endsWith('/chat/completions')) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const asked = JSON.parse(body)
    heard.push(asked.messages)
    for await (const chunk of answer(asked, script, lastWord, halfWay)) {
      const event = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'fake-1', ...chunk }
      response.write(`data: ${JSON.stringify(event)}\n\n`)
    }
    response.end('data: [DONE]\n\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    heard,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function* answer({ messages, tools }, script, lastWord, halfWay) {
  const say = (delta, finish_reason = null) => ({ choices: [{ index: 0, delta, finish_reason }] })
  const usage = { prompt_tokens: 120, completion_tokens: 30, total_tokens: 150 }
  yield say({ role: 'assistant' })
  if (!tools?.length) {
    // A request without tools asks for the session's title.
    yield say({ content: 'Scripted session' })
    yield { ...say({}, 'stop'), usage }
    return
  }
  const asked = messages.findLastIndex((message) => message.role === 'user')
  const done = messages.slice(asked).filter((message) => message.role === 'tool').length
  let step = 0
  let calls = []
  for (let seen = 0; seen <= done; step++) {
    calls = script(textOf(messages[asked]))[step] ?? []
    seen += calls.length
    if (!calls.length || seen > done) break
  }
  yield say({ reasoning_content: 'I think about ' })
  yield say({ reasoning_content: 'what comes next.' })
  for (const [index, [name, input]] of calls.entries()) {
    const text = JSON.stringify(input)
    yield say({
      tool_calls: [{ index, id: `call_${step}_${index}`, type: 'function', function: { name, arguments: '' } }],
    })
    for (let at = 0; at < text.length; at += 16) {
      yield say({ tool_calls: [{ index, function: { arguments: text.slice(at, at + 16) } }] })
    }
  }
  if (!calls.length) {
    await lastWord(textOf(messages[asked]))
    const pieces = ANSWER.match(/[^]{1,12}/g)
    for (const [at, piece] of pieces.entries()) {
      if (at === pieces.length >> 1) await halfWay(textOf(messages[asked]))
      yield say({ content: piece })
    }
  }
  yield { ...say({}, calls.length ? 'tool_calls' : 'stop'), usage }
}

function textOf({ content }) {
  return typeof content === 'string' ? content : content.map((piece) => piece.text ?? '').join(' ')
}
