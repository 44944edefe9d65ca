// OpenAI's chat completions.

import { textOf } from './model.mjs'

export const path = /\/chat\/completions$/

export function conversation({ messages }) {
  return messages.map(({ role, content }) => ({
    isModel: role === 'assistant',
    text: role === 'user' ? textOf(content) : '',
  }))
}

export function instructions({ messages }) {
  const others = messages.filter(({ role }) => role === 'developer' || role === 'system')
  return others.map(({ content }) => textOf(content)).join('\n')
}

export function events(step, nth) {
  const say = (delta, finish_reason = null) => ({
    id: `c_${nth}`,
    object: 'chat.completion.chunk',
    created: 1,
    model: 'fake-1',
    choices: [{ index: 0, delta, finish_reason }],
  })
  const isCall = typeof step !== 'string'
  const call = { name: step.name, arguments: JSON.stringify(step.input) }
  const delta = isCall
    ? { tool_calls: [{ index: 0, id: `call_${nth}`, type: 'function', function: call }] }
    : { content: step }
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
  return [
    say({ role: 'assistant', content: '' }),
    say(delta),
    { ...say({}, isCall ? 'tool_calls' : 'stop'), usage },
    '[DONE]',
  ]
}
