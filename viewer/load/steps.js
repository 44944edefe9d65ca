// What a subagent did, in a line. Pure.

import { record } from '../values.js'
import { callOf } from './tools.js'

// Calls by their parts, which are other objects once they change: while a subagent works it is asked again and again.
const calls = new WeakMap()

function read(part) {
  if (!calls.has(part)) calls.set(part, callOf(part))
  return calls.get(part)
}

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
      if (status === 'running' || status === 'pending') now = read(part)
      else if (status === 'completed' && !read(part).failed) for (const { file } of read(part).changes) files.add(file)
    }
  }
  return { steps, files: files.size, now }
}
