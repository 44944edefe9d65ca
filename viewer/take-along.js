// Taking a session along whose server knows nothing of it: as Markdown, and as the JSON of its items. Fetched when it
// is needed.

import { shownText } from './ansi.js'
import { cost } from './format.js'
import { readCall } from './load/calls.js'
import { readingOrder, standing } from './load/order.js'
import { patchOf } from './load/patch.js'
import { times } from './load/session.js'
import { toBase64 } from './load/seal.js'
import { strings } from './strings.js'
import { json as asJson, isRecord, number, record, text } from './values.js'
import { errorText, isHidden, isSilent, nameOf, saidBy } from './view/words.js'

/** The items of a share as JSON: the session, each message with its parts, in the order of reading, then the rest. */
export function json(items) {
  const of = (kind) => items.filter(({ type }) => type === kind)
  const messages = of('message').map((item, n) => ({ item, n: item.n ?? n, id: item.data.id, ...standing(item.data) }))
  const parts = Map.groupBy(of('part'), ({ data }) => data.messageID)
  const ordered = readingOrder(messages).flatMap(({ id, item }) => [item, ...(parts.get(id) ?? [])])
  const placed = new Set([...of('session'), ...ordered])
  const all = [...placed, ...items.filter((item) => !placed.has(item))]
  return `${JSON.stringify(all.map(({ type, data }) => ({ type, data })))}\n`
}

/** Turns of a session as Markdown. Nothing that stands in a part can make a heading of a turn, or swallow one. */
export function markdown(session, turns) {
  // Who wrote what stands in it could not know this word.
  const mark = `[${toBase64(crypto.getRandomValues(new Uint8Array(6)))}]`
  const { directory } = session
  return [
    `# ${line(text(session.info?.title) || strings.untitled)}`,
    directory && `Directory: ${code(directory)}`,
    `Headings of turns end with \`${mark}\`, which no turn holds.`,
    ...turns.flatMap(({ number, prompt, answers }) => [
      ...(prompt ? [`## Prompt ${number} ${mark}`, when(prompt), ...messageBlocks(session, prompt)] : []),
      ...(answers.length ? [`## Answer ${number} ${mark}`, took(answers)] : []),
      ...answers.flatMap((answer) => messageBlocks(session, answer)),
    ]),
    '',
  ]
    .filter((block) => block !== '' && block !== undefined)
    .join('\n\n')
    .concat('\n')
}

const when = ({ info }) => {
  const { created } = times(info)
  return (
    created &&
    new Date(created)
      .toISOString()
      .replace('T', ' ')
      .replace(/\.\d+Z$/, ' UTC')
  )
}

/** Models and cost of answers. */
function took(answers) {
  const models = new Set(answers.map(({ info }) => text(info.modelID ?? record(info.model).id)).filter(Boolean))
  const spent = answers.reduce((sum, { info }) => sum + (number(info.cost) ?? 0), 0)
  return [...[...models].map(line), cost(spent)].filter(Boolean).join(' · ')
}

function messageBlocks(session, message) {
  const said = session.partsOf(message).flatMap((part) => {
    const subagent = session.subagentOf(message, part)
    return [...partBlocks(part), ...(subagent === undefined ? [] : [steps(session, subagent)])]
  })
  const { error } = message.info
  return [...said, error && `**Error:** ${line(errorText(error))}`].filter(Boolean)
}

/** What a subagent did, as a quotation under its task. */
function steps(session, subagent) {
  const blocks = session
    .turns(subagent)
    .flatMap(({ prompt, answers }) => [
      ...(prompt ? ['*Prompt:*', ...messageBlocks(session, prompt)] : []),
      ...answers.flatMap((answer) => messageBlocks(session, answer)),
    ])
  return quoted(['*Subagent:*', ...blocks].join('\n\n'))
}

function partBlocks(part) {
  if (isHidden(part) || isSilent(part)) return []
  switch (part.type) {
    case 'text':
      return [prose(text(part.text))]
    case 'reasoning':
      return [text(part.text).trim() && quoted(`*${strings.reasoning}:*\n\n${prose(text(part.text))}`)]
    case 'file':
      return [`*${strings.file}: ${code(text(part.filename))} (${line(text(part.mime))})*`]
    case 'tool':
      return callBlocks(part)
    default:
      return saidBy(part).map(({ text }) => `*${line(text)}*`)
  }
}

function callBlocks(part) {
  const call = readCall(part)
  const state = record(part.state)
  const { status } = state
  const how = [call.exit ? strings.exit(call.exit) : call.failed && strings.failed, status !== 'completed' && status]
  const outcome = how.filter(Boolean).map(text).join(', ')
  const about = call.about ? ` ${code(call.about)}` : ''
  const changes = call.changes.map((change) => fence(change.content ?? patchOf(plain(change)), 'diff'))
  const { rest } = call
  return [
    `**${line(nameOf(call))}**${about}${outcome && ` (${line(outcome)})`}`,
    call.command && call.command.trim() !== call.about ? fence(call.command, 'sh') : '',
    ...changes,
    !call.fits && isRecord(rest) && Object.keys(rest).length ? fence(asJson(rest), 'json') : '',
    call.prompt && quoted(prose(text(call.prompt))),
    call.plan && prose(text(call.plan)),
    !changes.length || call.failed ? fence(shownText(text(call.output ?? state.output))) : '',
    state.error ? fence(shownText(text(state.error))) : '',
  ]
}

/** A change of which the patch is made when somebody asks. */
const plain = ({ patch, ...change }) => (typeof patch === 'string' ? { ...change, patch } : change)

// Without control characters, but for newlines and tabs.
const printable = (words) =>
  words
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
    .toWellFormed()

const quoted = (words) => words.replace(/^/gm, '> ').replace(/^> $/gm, '>')

const longestRun = (words) => Math.max(0, ...(words.match(/`+/g) ?? []).map(({ length }) => length))

/** A text as one line that is no markup. */
const line = (words) =>
  printable(words)
    .replace(/[\\`*_[\]<>#|&]/g, '\\$&')
    .replaceAll('\n', ' ')

/** A short text as code, whatever stands in it. */
function code(words) {
  const shown = printable(words).replaceAll('\n', ' ')
  const ticks = '`'.repeat(longestRun(shown) + 1)
  const space = /^`|`$/.test(shown) ? ' ' : ''
  return ticks + space + shown + space + ticks
}

/** A text as it is. */
function fence(words, language = '') {
  if (!words.trim()) return ''
  const shown = printable(words)
  const ticks = '`'.repeat(Math.max(3, longestRun(shown) + 1))
  return `${ticks}${language}\n${shown.replace(/\n+$/, '')}\n${ticks}`
}

/**
 * Somebody's Markdown within ours: its headings are deeper than those of turns, no line of it begins HTML, which could
 * hide what follows, or makes a heading of the one above, and a fence that is open is closed.
 */
function prose(words) {
  let open
  const lines = printable(words)
    .trim()
    .split('\n')
    .map((line) => {
      const [, ticks, behind] = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line) ?? []
      if (open) {
        if (ticks?.startsWith(open) && !behind.trim()) open = undefined
        return line
      }
      if (ticks && !(ticks[0] === '`' && behind.includes('`'))) {
        open = ticks
        return line
      }
      return line
        .replace(/^( {0,3})(#{1,6})(?=\s|$)/, (_, space, marks) => space + '#'.repeat(Math.min(6, marks.length + 3)))
        .replace(/^([\s>]*)(<|=+\s*$|-+\s*$)/, '$1\\$2')
    })
  return [...lines, ...(open ? [open] : [])].join('\n')
}
