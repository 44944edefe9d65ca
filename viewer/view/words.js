// What the parts of a message say, without elements: for the search, and to stand in for what is not drawn yet.

import { shownText } from '../ansi.js'
import { readCall } from '../load/calls.js'
import { labelOf } from '../load/tools.js'
import { strings } from '../strings.js'
import { isRecord, json, list, own, plainText, record, text } from '../values.js'

// Marks that OpenCode keeps for itself.
const SILENT = new Set(['step-start', 'step-finish', 'snapshot'])

// Calls that only look, and those that change files, by their meaning.
const LOOKS = new Set(['read', 'list', 'search'])
const EDITS = new Set(['edit', 'write'])

/** Whether a call only looks, and did not fail. */
export const isLook = ({ meaning, failed }) => LOOKS.has(meaning) && !failed

/** Whether a call is one that changes files. */
export const isEdit = ({ meaning }) => EDITS.has(meaning)

/** Whether a part says nothing to a reader. */
export const isSilent = ({ type }) => SILENT.has(type)

/**
 * What a part says, in the order in which it is seen: `[{ text, kind }]`, by what a search calls it. One that cannot be
 * read says all that it holds.
 */
export function saidBy(part) {
  if (isSilent(part)) return []
  let said
  try {
    said = own(SAID, part.type)?.(part)
  } catch {
    // It is shown as it is, too.
  }
  return (said ?? [{ text: json(part), kind: 'output' }]).filter(({ text }) => text)
}

/** The same as one text. */
export const wordsOf = (part) =>
  saidBy(part)
    .map(({ text }) => text)
    .join('\n')

const sought = new WeakMap()

/** The same as it is shown, for a search: reading a terminal's output takes its time, and is done once. */
export function shownBy(part) {
  if (!sought.has(part)) {
    const shown = (piece) => (part.type === 'tool' ? { ...piece, text: shownText(piece.text) } : piece)
    sought.set(part, saidBy(part).map(shown))
  }
  return sought.get(part)
}

// By the kinds of parts; nothing of one that is no text, or no list, as its kind has it.
const SAID = {
  text: (part) => (isHidden(part) ? [] : spoken(part, 'answers')),
  reasoning: (part) => spoken(part, 'thoughts'),
  tool: saidByCall,
  file: ({ filename }) => [{ text: text(filename), kind: 'files' }],
  patch: (part) => filesOfPatch(part) && [{ text: filesOfPatch(part).join('\n'), kind: 'files' }],
  agent: ({ name }) => noted(strings.agentSwitch(text(name))),
  model: ({ modelID }) => noted(strings.modelSwitch(text(modelID))),
  retry: ({ attempt, error }) => noted(`${strings.retry(text(attempt))}: ${errorText(error)}`),
  compaction: () => noted(strings.compaction),
  subtask: ({ description, prompt }) => noted(`${strings.subtask}: ${text(description)} — ${text(prompt)}`),
}

const noted = (text) => [{ text, kind: 'output' }]

/** Whether a text is one that its client added for the model alone. */
export const isHidden = ({ synthetic, ignored }) => Boolean(synthetic || ignored)

/** The text of a part: nothing when it is empty, `raw` when it is there and no text. */
export function textOf({ text }) {
  const words = plainText(text)
  return { words: words?.trim() ? words : undefined, raw: words === undefined && text !== undefined && text !== null }
}

function spoken(part, kind) {
  const { words, raw } = textOf(part)
  return raw ? undefined : [{ text: words, kind }]
}

/** The files that a part lists; nothing when it is no list. */
export function filesOfPatch({ files }) {
  return files === undefined || Array.isArray(files) ? list(files).map(text) : undefined
}

function saidByCall(part) {
  const state = record(part.state)
  const call = readCall(part)
  const { input } = state
  const values = isRecord(input) ? Object.values(input) : [input]
  const words = values.filter((value) => typeof value === 'string' || typeof value === 'object').map(text)
  const given = [
    nameOf(call),
    ...(call.command ? [call.command] : []),
    ...words.filter((word) => word !== call.command),
  ]
  return [
    { text: given.join('\n'), kind: isEdit(call) || LOOKS.has(call.meaning) ? 'files' : 'commands' },
    { text: [text(call.output ?? state.output), text(state.error)].filter(Boolean).join('\n'), kind: 'output' },
  ]
}

/** The name of a call's tool, for people. */
export function nameOf({ tool, server }) {
  if (server !== undefined) return `${brief(server)} › ${brief(tool).replaceAll('_', ' ')}`
  return labelOf(tool) ?? (brief(tool) || strings.tool)
}

/** So much of a text as a line can show. */
export const brief = (words) => words.slice(0, 200)

/** What an error says, in one text. */
export function errorText(error) {
  if (!isRecord(error)) return text(error)
  if (error.name === 'MessageAbortedError') return strings.aborted
  const data = isRecord(error.data) ? error.data : {}
  const status = data.statusCode ? ` (${text(data.statusCode)})` : ''
  return `${text(data.message ?? error.message ?? error.name ?? error)}${status}`
}
