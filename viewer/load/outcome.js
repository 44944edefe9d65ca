// How a call went: by its state, by what the agent recorded of it, and of a command by what its output says. Pure; the
// server's Markdown reads it in the same way (src/model/tools/outcome.rs).

import { record } from '../values.js'
import table from './tools-table.js'

// Characters at either end of an output that agents write of how a command ended.
const HEAD = 1000
const TAIL = 500

// What Gemini writes behind the exit code of a command.
const BEHIND_CODE = ['Signal: ', 'Background PIDs: ', 'Process Group PGID: ', '</untrusted_context>']

/** `{ exit, failed, output }` of a call: what came out as it is, but for a wrapping that says how a command ended. */
export function outcomeOf(state, isRun) {
  const isError = state.status === 'error'
  const { output } = state
  if (!isRun) return { failed: isError, output }
  const metadata = record(state.metadata)
  const whole = output ?? metadata.output
  const wrapped = unwrapped(whole)
  const said = wordsOf(wrapped?.output ?? (whole || state.error))
  const recorded = table.fields.exit.map((key) => metadata[key]).find(Number.isInteger)
  const exit = recorded ?? wrapped?.exit ?? said.exit
  return { exit, failed: isError || (exit === undefined ? said.failed : exit !== 0), output: wrapped?.output ?? whole }
}

/** What Codex wraps as JSON: an output, and how its command ended. */
function unwrapped(output) {
  if (typeof output !== 'string' || !output.startsWith('{"output":')) return undefined
  try {
    const { output: inner, metadata } = JSON.parse(output)
    const exit = record(metadata).exit_code
    return typeof inner === 'string' && Number.isInteger(exit) ? { output: inner, exit } : undefined
  } catch {
    return undefined
  }
}

/** What the output of a command says of how it ended. */
function wordsOf(output) {
  if (typeof output !== 'string') return { failed: false }
  const head = output.slice(0, HEAD).trimStart().split('\n')
  if (head[0].startsWith('Command failed:')) return { exit: numberBehind(head[0], 'exit status '), failed: true }
  const atStart = numberAfter(head[0], 'Exit code: ') ?? numberAfter(head[0], 'Exit code ')
  const exit = atStart ?? ofProcess(head) ?? atEnd(output.slice(-TAIL).trimEnd().split('\n'))
  return { exit, failed: false }
}

/** Codex, of a process: `Process exited with code 1`, above `Output:`. */
function ofProcess(head) {
  if (!/^(?:Chunk ID|Wall time): /.test(head[0])) return undefined
  const end = head.indexOf('Output:')
  const codes = head.slice(0, end < 0 ? undefined : end).map((line) => numberAfter(line, 'Process exited with code '))
  return codes.find((code) => code !== undefined)
}

/** pi: `Command exited with code 1`. Gemini: `Exit Code: 1`, behind which it may say more. */
function atEnd(lines) {
  const last = lines.findLast((line) => !BEHIND_CODE.some((words) => line.startsWith(words))) ?? ''
  return numberAfter(lines.at(-1), 'Command exited with code ') ?? numberAfter(last, 'Exit Code: ')
}

function numberAfter(line, words) {
  const digits = line.startsWith(words) ? line.slice(words.length).trimEnd() : ''
  return /^-?\d{1,9}$/.test(digits) ? Number(digits) : undefined
}

function numberBehind(line, words) {
  const at = line.lastIndexOf(words)
  return at < 0 ? undefined : numberAfter(line.slice(at), words)
}
