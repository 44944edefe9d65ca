// Anthropic's messages.

import { textOf } from './model.mjs'

export const path = /^\/v1\/messages\?/

export function conversation({ messages }) {
  return messages.map(({ role, content }) => ({ isModel: role === 'assistant', text: textOf(content) }))
}

export function instructions({ system }) {
  return textOf(system)
}

export function events(step, nth) {
  const usage = { input_tokens: 10, output_tokens: 5 }
  const isCall = typeof step !== 'string'
  const message = { id: `msg_${nth}`, type: 'message', role: 'assistant', model: 'claude-test', content: [], usage }
  const block = isCall
    ? { type: 'tool_use', id: `toolu_${nth}`, name: step.name, input: {} }
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
