// How tall turns are about, before they are drawn: so the page has its length from the beginning, and what is read
// stays where it is when something above it is drawn.

import { guarded } from '../dom.js'
import { callIn } from '../load/calls.js'
import { promptText } from '../load/session.js'
import { isEdit, isLook, saidBy } from './words.js'

/** Lines of a prompt that are shown at first. */
export const PROMPT_LINES = 12

// Pixels of a line of text, of a part's line, and of what stands around; and characters of a line.
const [LINE, ROW, AROUND, WIDTH] = [26, 38, 190, 84]

/** About how many lines a text takes. */
export const linesOf = (words) => words.split('\n').reduce((sum, line) => sum + 1 + Math.floor(line.length / WIDTH), 0)

/** About how tall a turn is, in pixels. */
export const heightOf = (turn, session) => guarded(() => AROUND + heightWithin(turn, session)) ?? AROUND

function heightWithin({ prompt, answers }, session) {
  let height = prompt ? Math.min(PROMPT_LINES, linesOf(promptText(session.partsOf(prompt)))) * LINE : 0
  for (const message of answers) {
    for (const part of session.partsOf(message)) {
      if (!heights.has(part)) heights.set(part, heightOfPart(part))
      height += heights.get(part)
    }
  }
  return height
}

const heights = new WeakMap()

function heightOfPart(part) {
  const said = saidBy(part)
  if (!said.length) return 0
  if (part.type === 'text') return linesOf(said[0].text) * LINE
  if (part.type !== 'tool') return ROW / 2
  const call = callIn(part)
  if (isLook(call)) return ROW / 2
  if (call.failed) return ROW + 300
  return isEdit(call) ? ROW + 50 + heightOfEdits(call) : ROW
}

// Lines of a diff that are shown at first, as tall as the style sheet makes them.
const heightOfEdits = ({ changes }) =>
  changes.reduce((sum, { counts }) => sum + Math.min(60, 6 + (counts ? counts.added + counts.removed : 10)) * 20, 0)

/** Says how tall something is thought to be. */
export function setHeight(node, height) {
  if (node.style.getPropertyValue('--height') !== height) node.style.setProperty('--height', height)
}
