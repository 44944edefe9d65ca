// Gemini's streamGenerateContent.

import { textOf } from './model.mjs'

export const path = /:streamGenerateContent\?alt=sse$/

export function conversation({ contents }) {
  return contents.map(({ role, parts }) => ({ isModel: role === 'model', text: textOf(parts) }))
}

export function instructions({ systemInstruction }) {
  return textOf(systemInstruction?.parts)
}

export function events(step, nth) {
  const part =
    typeof step === 'string'
      ? { text: step }
      : { functionCall: { id: `call_${nth}`, name: step.name, args: step.input } }
  const say = (parts, more) => ({ candidates: [{ index: 0, content: { role: 'model', parts }, ...more }] })
  const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 }
  return [say([part]), { ...say([{ text: '' }], { finishReason: 'STOP' }), usageMetadata, modelVersion: 'gemini-test' }]
}
