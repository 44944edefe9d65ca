// OpenAI's responses.

import { textOf } from './model.mjs'

export const path = /\/responses$/

export function conversation({ input }) {
  return input.map(({ type, role, content }) => ({
    isModel: role === 'assistant' || /^(reasoning|(function|custom_tool)_call)$/.test(type),
    text: role === 'user' || type === 'agent_message' ? textOf(content) : '',
  }))
}

export function instructions({ instructions, input }) {
  const others = input.filter(({ role }) => role === 'developer' || role === 'system')
  return [instructions ?? '', ...others.map(({ content }) => textOf(content))].join('\n')
}

export function events(step, nth) {
  const item =
    typeof step === 'string'
      ? { type: 'message', role: 'assistant', id: `msg_${nth}`, content: [{ type: 'output_text', text: step }] }
      : typeof step.input === 'string'
        ? { type: 'custom_tool_call', id: `ctc_${nth}`, call_id: `call_${nth}`, name: step.name, input: step.input }
        : { type: 'function_call', id: `fc_${nth}`, call_id: `call_${nth}`, name: step.name, namespace: step.namespace }
  if (item.type === 'function_call') item.arguments = JSON.stringify(step.input)
  const id = `resp_${nth}`
  const usage = {
    input_tokens: 10,
    input_tokens_details: { cached_tokens: 4 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 15,
  }
  return [
    { type: 'response.created', response: { id } },
    { type: 'response.output_item.added', output_index: 0, item: { ...item, content: [] } },
    ...(typeof step === 'string'
      ? [{ type: 'response.output_text.delta', item_id: item.id, output_index: 0, content_index: 0, delta: step }]
      : []),
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response: { id, usage } },
  ]
}
