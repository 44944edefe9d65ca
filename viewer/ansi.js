// What a terminal would show of a program's output, with its colours as names of classes. Pure, and linear in the
// output. Its text is what the server's Markdown has (src/render/terminal.rs); both are tested by the same vectors.

import { own } from './values.js'

// All control characters (C0, DEL, C1) but the tab.
const CONTROL = /[\0-\x08\n-\x1f\x7f-\x9f]/g
// ECMA-48, 5.4: parameters and intermediate characters, then a final one. Any other character is not a part of it.
const SEQUENCE = /([ -?]*)([@-~]?)/y
// Intermediate characters, then a final one (ECMA-48, 5.5 and 5.6).
const ESCAPE = /[ -/]*[0-~]?/y
// A command string (a title, a link) up to its terminator. One that is not terminated ends with its line, so that a
// broken one takes no more of the output along.
const STRING = /[^\n\x07\x9c\x1b]*(?:[\x07\x9c]|\x1b\\?)?/y

const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white']

/**
 * Reads a terminal's output in pieces that end with a line, or with the output. Colours go on from one to the next;
 * nothing else that a terminal is told does.
 */
export class AnsiReader {
  #style = {}

  /** What is shown, `[{ text, classes }]`; `classes` is empty where nothing is special. */
  read(output) {
    // Half a surrogate pair is no character.
    const whole = output.toWellFormed()
    const runs = []
    // What is shown, as ranges of the output, so that to take a character back costs nothing.
    const ranges = []
    let line = 0
    let classes = classesOf(this.#style)
    for (let at = 0; at < whole.length;) {
      CONTROL.lastIndex = at
      const end = CONTROL.exec(whole)?.index ?? whole.length
      if (end > at) ranges.push({ from: at, to: end, classes })
      const control = whole[end]
      at = end + 1
      if (control === '\n') {
        ranges.push({ from: end, to: at, classes })
        line = ranges.length
      } else if (control === '\r') {
        // Before the end of a line it is a part of that end; after it the line is written over.
        if (at < whole.length && whole[at] !== '\n' && whole[at] !== '\r') ranges.length = line
      } else if (control === '\b') {
        if (ranges.length > line) takeBack(ranges, whole)
      } else if (control === '\x1b' || (control >= '\x90' && control <= '\x9f')) {
        const { kind, from } = introduced(whole, control, at)
        kind.lastIndex = from
        const [all, parameters, final] = kind.exec(whole)
        at = from + all.length
        if (final === 'm') {
          this.#select(parameters)
          classes = classesOf(this.#style)
        }
      }
    }
    for (const { from, to, classes } of ranges) {
      const last = runs.at(-1)
      if (last?.classes === classes) last.texts.push(whole.slice(from, to))
      else runs.push({ classes, texts: [whole.slice(from, to)] })
    }
    return runs.map(({ classes, texts }) => ({ classes, text: texts.join('') }))
  }

  /** Select graphic rendition (ECMA-48, 8.3.117; colours beyond the eight as in ISO 8613-6). */
  #select(parameters) {
    if (/[^\d;:]/.test(parameters)) return
    const codes = parameters.split(';')
    for (let at = 0; at < codes.length; at++) {
      const [code, ...sub] = codes[at].split(':').map(Number)
      if (code === 38 || code === 48) {
        // With semicolons the colour is in the codes that follow, with colons in this one.
        const rest = sub.length ? sub : codes.slice(at + 1, at + 5).map(Number)
        const { colour, length } = extended(rest, sub.length > 0)
        this.#style[code === 38 ? 'fg' : 'bg'] = colour
        if (!sub.length) at += length
      } else this.#apply(code, sub)
    }
  }

  #apply(code, [sub]) {
    const style = this.#style
    if (code === 0) this.#style = {}
    else if (code === 1) style.bold = true
    else if (code === 2) style.dim = true
    else if (code === 3) style.italic = true
    else if (code === 4) style.underline = sub !== 0
    else if (code === 7) style.inverse = true
    else if (code === 9) style.strike = true
    else if (code === 21) style.underline = true
    else if (code === 22) style.bold = style.dim = false
    else if (code === 23) style.italic = false
    else if (code === 24) style.underline = false
    else if (code === 27) style.inverse = false
    else if (code === 29) style.strike = false
    else if (code === 39) style.fg = undefined
    else if (code === 49) style.bg = undefined
    else if (code >= 30 && code < 38) style.fg = COLOURS[code - 30]
    else if (code >= 40 && code < 48) style.bg = COLOURS[code - 40]
    else if (code >= 90 && code < 98) style.fg = bright(code - 90)
    else if (code >= 100 && code < 108) style.bg = bright(code - 100)
  }
}

// What a terminal shows as it is: most outputs have nothing else.
const PLAIN = /^[^\0-\x08\x0b-\x1f\x7f-\x9f]*$/

/** The text that a terminal would show. */
export function shownText(output) {
  if (PLAIN.test(output)) return output.toWellFormed()
  return new AnsiReader()
    .read(output)
    .map(({ text }) => text)
    .join('')
}

/** What kind of sequence a control character introduces, and where the rest of it begins. */
function introduced(whole, control, at) {
  if (control === '\x9b') return { kind: SEQUENCE, from: at }
  if (control !== '\x1b') return { kind: '\x90\x98\x9d\x9e\x9f'.includes(control) ? STRING : NOTHING, from: at }
  const next = whole[at] ?? ''
  if (next === '[') return { kind: SEQUENCE, from: at + 1 }
  if (next && 'PX]^_'.includes(next)) return { kind: STRING, from: at + 1 }
  return { kind: ESCAPE, from: at }
}
const NOTHING = /(?:)/y

/** Takes the last character of a line back. */
function takeBack(ranges, whole) {
  const last = ranges.at(-1)
  last.to -= last.to - last.from > 1 && whole.codePointAt(last.to - 2) > 0xffff ? 2 : 1
  if (last.to === last.from) ranges.pop()
}

// Bright colours are those of the theme, which can be read; only a bright black is another: grey.
const bright = (index) => (index === 0 ? 'grey' : COLOURS[index])

/** A colour of the palette of 256, or of red, green and blue; and how many codes say it. */
function extended([kind, ...values], isSub) {
  if (kind === 5) return { colour: ofPalette(values[0]), length: 2 }
  // With colons there may be a colour space before red, green and blue.
  const rgb = isSub && values.length > 3 ? values.slice(1, 4) : values.slice(0, 3)
  if (kind === 2) return { colour: nearest(...rgb), length: 4 }
  return { colour: undefined, length: 0 }
}

function ofPalette(index) {
  if (!(index >= 0 && index < 256)) return undefined
  if (index < 8) return COLOURS[index]
  if (index < 16) return bright(index - 8)
  if (index >= 232) return nearest(...Array(3).fill(8 + (index - 232) * 10))
  const level = (value) => (value ? 55 + value * 40 : 0)
  const cube = index - 16
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6))
}

// Which of red (1), green (2) and blue (4) are strong, as the index of a colour.
function nearest(red = 0, green = 0, blue = 0) {
  const [low, high] = [Math.min(red, green, blue), Math.max(red, green, blue)]
  if (!(high - low > 40)) return high > 170 ? 'white' : high > 60 ? 'grey' : 'black'
  const middle = (low + high) / 2
  return COLOURS[(red > middle ? 1 : 0) + (green > middle ? 2 : 0) + (blue > middle ? 4 : 0)]
}

const FLAGS = ['bold', 'dim', 'italic', 'underline', 'strike']

function classesOf(style) {
  const [fg, bg] = style.inverse ? [style.bg, style.fg] : [style.fg, style.bg]
  const names = FLAGS.filter((flag) => own(style, flag))
  if (fg) names.push(`${fg}-fg`)
  if (bg) names.push(`${bg}-bg`)
  // Without colours of its own, those of the page change places.
  if (style.inverse && !bg) names.push('inverse')
  return names.map((name) => `ansi-${name}`).join(' ')
}
