// Whose a message is: the session's own, or a subagent's; and which task opens what a subagent said. Pure; the server
// has the same rule (src/model/subagents.rs), and a table of cases holds both to it (tests/fixtures/subagents.json).

import { record } from '../values.js'

// Tasks within tasks, at the most. What lies deeper stands by itself, so that whoever goes down comes to an end.
const MAX_DEPTH = 8

const named = (id) => (typeof id === 'string' && id ? id : undefined)

/** The session that a message says it is of; nothing when it says none. */
export const sessionOf = (info) => named(record(info).sessionID)

/** The session of the subagent that works on a part, when that is a task. */
export function opens(part) {
  const { type, state } = record(part)
  return type === 'tool' ? named(record(record(state).metadata).sessionId) : undefined
}

/**
 * Divides messages, in reading order, `[{ id, session }]`, of a session whose item says that it is `id`. `opensOf`
 * gives what the parts of a message open, `[{ part, session }]`, in their order.
 *
 * `own` are the messages of the session itself: those that name it, or none. Where its item does not say which one it
 * is (`home`), or no message is of that one, the first message does. `subagents` are all others, by their sessions:
 * `{ session, messages }` with the `task` that opens them, `{ message, part }`, which is the first that names them; or,
 * when none does, with the last message of the session's own before them, `after`.
 */
export function divide(id, messages, opensOf) {
  const isOf = (home) => (message) => message.session === undefined || message.session === home
  const isKnown = named(id) && messages.some(isOf(id))
  const home = isKnown ? id : messages.find(({ session }) => session !== undefined)?.session
  const isOwn = isOf(home)
  const own = messages.filter(isOwn)
  const subagents = new Map()
  let last = own[0]
  for (const message of messages) {
    const { session } = message
    if (isOwn(message)) last = message
    else if (subagents.has(session)) subagents.get(session).messages.push(message)
    else subagents.set(session, { session, messages: [message], task: undefined, after: last })
  }
  if (subagents.size) link(own, subagents, opensOf)
  return { home, own, subagents }
}

/** Finds the task of each subagent. */
function link(own, subagents, opensOf) {
  const open = new Set(subagents.keys())
  const walk = (messages) => {
    const next = [{ messages, depth: 1 }]
    for (const { messages, depth } of next) {
      for (const message of messages) {
        for (const { part, session } of opensOf(message)) {
          if (depth > MAX_DEPTH || !open.delete(session)) continue
          const subagent = subagents.get(session)
          Object.assign(subagent, { task: { message, part }, after: undefined })
          next.push({ messages: subagent.messages, depth: depth + 1 })
        }
      }
    }
  }
  walk(own)
  // Of those that are left, first those that no other one of them opens; the others open each other in a circle.
  const left = [...open].map((session) => subagents.get(session))
  const opened = new Set()
  for (const { session: from, messages } of left)
    for (const message of messages)
      for (const { session } of opensOf(message)) if (session !== from) opened.add(session)
  const isOpened = ({ session }) => opened.has(session)
  for (const { session, messages } of [...left.filter((one) => !isOpened(one)), ...left.filter(isOpened)])
    if (open.delete(session)) walk(messages)
}
