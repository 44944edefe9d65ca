// What a terminal shows of an output: the text by the vectors that the server's Markdown is tested by too, colours as
// classes, and no more work than the output is long.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { AnsiReader, shownText } from '../../viewer/ansi.js'
import { processorTime } from '../lib/cost.mjs'

const vectors = JSON.parse(await readFile(new URL('../fixtures/terminal.json', import.meta.url), 'utf8'))

test('outputs are read as a terminal shows them', () => {
  for (const [output, shown] of vectors) assert.equal(shownText(output), shown, JSON.stringify(output))
})

/** What is shown, as `text` or `text{classes}`. */
const read = (output) =>
  new AnsiReader()
    .read(output)
    .map(({ text, classes }) => (classes ? `${text}{${classes.replaceAll('ansi-', '')}}` : text))
    .join('')

test('colours and weights are classes', () => {
  const cases = {
    '\x1b[31mred\x1b[0m plain': 'red{red-fg} plain',
    '\x1b[1;4;32mall\x1b[22m no weight\x1b[m': 'all{bold underline green-fg} no weight{underline green-fg}',
    '\x1b[2;3;9mdim\x1b[23;29m less': 'dim{dim italic strike} less{dim}',
    '\x1b[97;41mwhite on red\x1b[49;39m none': 'white on red{white-fg red-bg} none',
    '\x1b[90mgrey': 'grey{grey-fg}',
    '\x1b[7mturned\x1b[27m back': 'turned{inverse} back',
    '\x1b[31;7mturned': 'turned{red-bg}',
    '\x1b[38;5;196mred\x1b[38;5;10;1mgreen': 'red{red-fg}green{bold green-fg}',
    '\x1b[38;2;10;20;250mblue\x1b[48;2;9;9;9mon black': 'blue{blue-fg}on black{blue-fg black-bg}',
    '\x1b[38:5:226myellow\x1b[38:2::200:0:200mmagenta': 'yellow{yellow-fg}magenta{magenta-fg}',
    '\x1b[4:3mwave\x1b[4:0m none': 'wave{underline} none',
    '\x1b[8mhidden text is text': 'hidden text is text',
    '\x1b[?25lno rendition\x1b[>4;1m either': 'no rendition either',
    '\x1b[38;5;999modd\x1b[38;6;1m odder\x1b[99999999999999m': 'odd odder{bold}',
    '\x9b32mgreen': 'green{green-fg}',
    '\x1b[31mover\rwritten': 'written{red-fg}',
    'a\x1b[31mb\x1b[0mc\b\bX': 'aX',
    'half \ud83d a pair': 'half \ufffd a pair',
  }
  for (const [output, shown] of Object.entries(cases)) assert.equal(read(output), shown, JSON.stringify(output))
})

test('colours go on over lines, in one piece or in several', () => {
  const reader = new AnsiReader()
  const [first] = reader.read('\x1b[31mone\n')
  const [second, third] = reader.read('two\x1b[0m three\n')
  assert.deepEqual([first.classes, second.classes, third.classes], ['ansi-red-fg', 'ansi-red-fg', ''])
})

test('whatever is in it, no control character is left and no line is lost', () => {
  let seed = 7
  const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below
  const pieces = [...'\x1b\x9b\x9d\x90\x85[];:m0195?\r\n\b\x07\x7fPX\\ aé😀\ud83d', '\x1b[31m', '\x1b]8;;', '\x1b\\']
  for (let round = 0; round < 3000; round++) {
    const output = Array.from({ length: random(30) }, () => pieces[random(pieces.length)]).join('')
    const text = shownText(output)
    assert.doesNotMatch(text, /[\0-\x08\x0b-\x1f\x7f-\x9f]/, JSON.stringify(output))
    assert.equal(text.split('\n').length, output.split('\n').length, JSON.stringify(output))
    assert.equal(shownText(text), text)
  }
})

test('an output of a million characters is no matter, whatever it is made of', () => {
  const kinds = [
    'x',
    'x\r',
    '\r',
    '\rx\n',
    ' \r\n',
    '\b',
    'x\b',
    '\x1b[',
    '\x1b]',
    '\x1b[1;',
    '\x1b[31m',
    '\x1bP\n',
    ';38',
    '\x1b ',
    '\x9b',
  ]
  for (const kind of kinds) {
    const output = `${'y'.repeat(300_000)}\x1b[${kind.repeat(700_000 / kind.length)}`
    const ms = processorTime(() => shownText(output))
    assert.ok(ms < 3000, `${JSON.stringify(kind)}: ${ms} ms`)
  }
})
