// What a subagent did, in a line. Pure.

import { record } from '../values.js'
import { readCall } from './calls.js'

/**
 * What a subagent and those that it has itself did so far: `steps`, how many calls they made; `files`, how many files
 * they changed; `now`, the last call that is not done yet.
 */
export function stepsOf(session, subagent) {
  const files = new Set()
  let [steps, now] = [0, undefined]
  for (const message of session.stepsOf(subagent)) {
    for (const part of session.partsOf(message)) {
      if (part.type !== 'tool') continue
      steps += 1
      const { status } = record(part.state)
      if (status === 'running' || status === 'pending') now = readCall(part)
      else if (status === 'completed' && !readCall(part).failed)
        for (const { file } of readCall(part).changes) files.add(file)
    }
  }
  return { steps, files: files.size, now }
}
