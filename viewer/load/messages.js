// The messages of a session as OpenCode's second API has them, read as messages and parts: what the page shows. One
// item holds all of them, each with its content. Pure; the server's Markdown reads them in the same way
// (src/render/messages.rs), and a table of cases holds both to it (tests/fixtures/messages.json).

import { isRecord, list, record } from '../values.js'
import { toolOf } from './tools.js'

/** The messages, `[{ id, info, parts }]`, in their order. */
export const messagesOf = (messages) => list(messages).map(read)

function read(message, at) {
  const fields = record(message)
  const id = typeof fields.id === 'string' && fields.id ? fields.id : `message-${at}`
  const { info, parts } = isRecord(message) ? own(message) : note([odd(message)], {})
  return {
    id,
    info: present({ ...info, id }),
    // Parts have no ids of their own that differ from message to message: their place is one, for parts are only added.
    parts: parts.map((part, place) => ({ ...present(part), id: `${id}-${place}`, messageID: id })),
  }
}

function own(message) {
  const { type, text, time } = message
  switch (type) {
    case 'user':
      return {
        info: { role: 'user', time, agent: message.agent },
        parts: [
          { type: 'text', text },
          ...list(message.files).map(file),
          ...list(message.agents).map((agent) => ({ type: 'agent', name: record(agent).name })),
        ],
      }
    case 'assistant':
      return { info: answer(message), parts: list(message.content).map(content) }
    case 'shell': {
      const { created: start, completed: end } = record(time)
      const status = end === undefined || end === null ? 'running' : 'completed'
      const state = { status, input: present({ command: message.command }), output: message.output }
      const call = { type: 'tool', tool: toolOf('run'), callID: message.callID }
      return {
        info: { role: 'assistant', time },
        parts: [{ ...call, state: present({ ...state, time: present({ start, end }) }) }],
      }
    }
    case 'synthetic':
    case 'system':
      return note([{ type: 'text', text, synthetic: true }], time)
    case 'agent-switched':
      return note([{ type: 'agent', name: message.agent }], time)
    case 'model-switched': {
      const { id: modelID, providerID } = record(message.model)
      return note([{ type: 'model', modelID, providerID }], time)
    }
    case 'compaction': {
      const summary = typeof message.summary === 'string' && message.summary.trim()
      const words = summary ? [{ type: 'text', text: message.summary }] : []
      return note([{ type: 'compaction', auto: message.reason === 'auto' }, ...words], time)
    }
    default:
      return note([message], time)
  }
}

/** What is said between prompts and answers: done when it is there. */
function note(parts, time) {
  const { created } = record(time)
  return { info: { role: 'assistant', time: present({ created, completed: created }) }, parts }
}

function answer({ time, agent, model, cost, tokens, finish, error }) {
  const { id: modelID, providerID } = record(model)
  const { type, message } = record(error)
  const failed = type === 'aborted' ? { name: 'MessageAbortedError', data: present({ message }) } : error
  return { role: 'assistant', time, agent, modelID, providerID, cost, tokens, finish, error: failed }
}

function content(piece) {
  if (!isRecord(piece)) return odd(piece)
  const { type, text, time } = piece
  const { created, ran, completed: end } = record(time)
  if (type === 'text') return { type, text }
  if (type === 'reasoning') return { type, text, time: present({ start: created, end }) }
  if (type !== 'tool') return piece
  const state = { ...call(record(piece.state)), time: present({ start: ran ?? created, end }) }
  return { type, tool: piece.name, callID: piece.id, state: present(state) }
}

/** What went in and came out of a call. */
function call(state) {
  const { input, structured, metadata, error } = state
  const pieces = list(state.content).filter(isRecord)
  const texts = pieces.map(({ text }) => text).filter((text) => typeof text === 'string')
  const files = [...pieces.filter(({ type }) => type === 'file'), ...list(state.attachments)].map(file)
  return {
    // The newest clients say so of a call whose input is still being written.
    status: state.status === 'streaming' ? 'pending' : state.status,
    input,
    output: texts.length ? texts.reduce(onNewLine) : state.result,
    error: record(error).message ?? error,
    metadata: structured ?? metadata,
    attachments: files.length ? files : undefined,
  }
}

const onNewLine = (before, text) => (before && !before.endsWith('\n') ? `${before}\n${text}` : before + text)

/** A file that was attached: by its address, or with what it holds. */
function file(attached) {
  if (!isRecord(attached)) return odd(attached)
  const { uri, data, mime, name: filename } = attached
  const held = typeof data === 'string' ? `data:${typeof mime === 'string' ? mime : ''};base64,${data}` : undefined
  return present({ type: 'file', mime, filename, url: uri ?? held ?? record(attached.source).uri })
}

const odd = (value) => ({ type: '', value })

/** The fields that have a value. */
const present = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null))
