// What the agent does now, by the last of what it said. Pure.

import { record } from '../values.js'
import { readCall } from './calls.js'
import { times } from './session.js'

/**
 * `{ kind, call, since }` of a session whose agent works: `run` with the call that is under way, `think`, `write`, or
 * `work` when that is all that is known.
 */
export function doingOf(session) {
  const last = session.ordered().at(-1)
  const parts = last ? session.partsOf(last) : []
  const running = parts.findLast(({ type, state }) => type === 'tool' && isUnderWay(record(state).status))
  if (running) return { kind: 'run', call: readCall(running), since: times(running.state).start }
  const part = parts.findLast(({ type }) => type === 'text' || type === 'reasoning' || type === 'tool')
  const { start, end } = times(part)
  if (last?.info.role !== 'assistant' || !part || end) return { kind: 'work' }
  if (part.type === 'reasoning') return { kind: 'think', since: start }
  return part.type === 'text' ? { kind: 'write', since: start } : { kind: 'work' }
}

const isUnderWay = (status) => status === 'running' || status === 'pending'
