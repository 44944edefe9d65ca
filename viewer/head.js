// What stands above the session: its title, what was asked, how it ended, what it took, and a strip of its turns.

import { time } from './clock.js'
import { arrange, el, write } from './dom.js'
import { cost, count, duration, short } from './format.js'
import { svg } from './icons.js'
import { promptText } from './load/session.js'
import { cachedShare, withoutMarks } from './load/turns.js'
import { strings } from './strings.js'
import { text } from './values.js'
import { countsOf } from './view/frame.js'

// Characters of a title, and of a name, that are shown.
const MAX_TITLE = 1000

// Characters of a result.
const MAX_RESULT = 400

export class Head {
  #title = el('h1', { dir: 'auto' }, strings.untitled)
  #asked = group('asked', strings.asked)
  #result = group('result', strings.result)
  #facts = el('div', { class: 'facts' })
  #strip

  constructor(root, { session, turns, link, topTitle, rail }) {
    Object.assign(this, { session, turns, link, topTitle })
    const strip = el('div', { class: 'strip', 'aria-hidden': 'true', hidden: true })
    this.#strip = new Strip([strip, rail], turns, link)
    root.append(this.#title, el('div', { class: 'groups' }, this.#asked.node, this.#result.node), this.#facts, strip)
  }

  get title() {
    return this.#title.textContent
  }

  /** Brings it up to date; the share `ends` then, when it does, and so many `files` were changed. */
  update(ends, files) {
    const { session } = this
    const title = text(session.info?.title).slice(0, MAX_TITLE).toWellFormed() || strings.untitled
    if (this.#title.textContent !== title) {
      write(this.#title, title)
      write(this.topTitle, title)
    }
    this.#answers()
    // What says the same as before stays.
    const known = this.#facts.children
    const same = (node, at) => (known[at]?.isEqualNode(node) ? known[at] : node)
    arrange(this.#facts, this.#numbers(ends, files).map(same))
    this.#strip.update()
  }

  /** The reader is at this turn. */
  at(id) {
    this.#strip.at(id)
  }

  /** What was asked first, and what was said last: where there is more between them than can be seen. */
  #answers() {
    const { all } = this.turns
    const [first] = all
    const last = all.at(-1)
    const isLong = all.length > 1 && Boolean(first.prompt)
    const result = isLong && this.#lastWords(last)
    this.#asked.show(isLong && first.label, isLong && this.link({ id: first.id }))
    this.#result.show(result?.words, result && this.link({ id: result.id }), result && last.sum.outcome)
  }

  #lastWords({ answers }) {
    for (const message of answers.toReversed()) {
      const part = this.session.partsOf(message).findLast((part) => promptText([part]).trim())
      if (part) return { id: part.id, words: plain(promptText([part])) }
    }
    return undefined
  }

  #numbers(ends, files) {
    const { session, turns } = this
    const { started, ended, tokens, cost: spent, models } = turns.totals
    const names = models.map((model) => text(session.models.find(({ id }) => id === model)?.name ?? model))
    const undone = session.undone()
    const cached = cachedShare(tokens)
    const asked = turns.all.filter(({ prompt }) => prompt).length
    return [
      fact(strings.started, started && time(started)),
      fact(strings.took, started && ended > started && duration(ended - started)),
      fact(strings.turns, asked > 1 && count(asked)),
      fact(strings.files, files?.count && [count(files.count), ' ', ...countsOf(files)]),
      fact(strings.cost, spent && cost(spent)),
      fact(
        strings.tokensLabel,
        tokens.all &&
          strings.tokensIn({
            input: short(tokens.input + tokens.read + tokens.write),
            output: short(tokens.output),
            cached: cached && Math.round(cached * 100),
          }),
      ),
      fact(strings.model, names.join(', ')),
      fact(strings.agent, session.agent?.slice(0, MAX_TITLE)),
      fact(strings.directory, session.directory && el('span', { class: 'path', dir: 'auto' }, session.directory)),
      session.secrets && el('span', {}, strings.secretsHidden(session.secrets)),
      undone && el('span', {}, strings.reverted(undone)),
      ends && el('span', {}, `${strings.ends} `, time(ends, true), ` ${strings.endsWhy}`),
    ].filter(Boolean)
  }
}

const fact = (label, value) => value && el('span', { class: 'fact' }, el('small', {}, label), ' ', value)

function group(name, label) {
  const words = el('a', { class: 'words', dir: 'auto' })
  const dot = el('span', { class: 'dot', hidden: true })
  const node = el('div', { class: `said ${name}`, hidden: true }, el('h2', {}, dot, label), words)
  let shown
  const show = (said, href, outcome) => {
    node.hidden = !said
    dot.hidden = !outcome
    dot.className = `dot ${DOTS[outcome] ?? ''}`
    if (!said || said === shown) return
    shown = said
    words.href = href
    write(words, said)
  }
  return { node, show }
}

const DOTS = { running: 'running', failed: 'error', done: 'completed' }

/** The first words of a Markdown text: its prose, without marks, code and tables. */
function plain(markdown) {
  const beginning = markdown.trim().slice(0, MAX_RESULT * 4)
  const prose = beginning.replace(/^ *(```|~~~)[^]*?(?:^ *\1.*$|(?![^]))/gm, '').replace(/^ *(?:\||#).*$/gm, '')
  const words = withoutMarks((prose.trim() || beginning).replace(/^ {0,3}(?:>|[-*+]|\d+\.|#+) /gm, ''))
  return words.length > MAX_RESULT ? `${words.slice(0, MAX_RESULT)} …` : words
}

// What a bar shows of its turn, and what is marked beside it: one path each. An element for each of hundreds of turns
// would cost every frame of who scrolls.
const KINDS = ['other', 'edits', 'failed', 'running']
const MARKS = ['over', 'here']

// Of its column, a bar takes so much.
const BAR = 0.8

/** The turns as bars, as high as each took long: a chart, a way to each, and in the bar at the top where one is. */
class Strip {
  #charts
  #bars = []
  #here

  constructor([strip, rail], turns, link) {
    Object.assign(this, { turns, link })
    this.#charts = [new Chart(strip), new Chart(rail, 100)]
    for (const { root } of this.#charts) {
      root.addEventListener('click', (event) => {
        const bar = this.#barAt(event)
        if (bar) location.hash = link({ id: bar.id })
      })
      root.addEventListener('pointermove', (event) => this.#over(this.#barAt(event)))
      root.addEventListener('pointerleave', () => this.#over())
    }
  }

  update() {
    const turns = this.turns.all.filter(({ prompt }) => prompt)
    const took = turns.map(({ sum: { started, ended } }) => Math.max(0, (ended ?? 0) - (started ?? 0)))
    const longest = Math.log1p(Math.max(1, ...took))
    this.#bars = turns.map(({ id, number, label, sum: { outcome, files } }, at) => ({
      id,
      title: [`${number}. ${label}`, took[at] && duration(took[at])].filter(Boolean).join(' · '),
      kind: KINDS.includes(outcome) ? outcome : KINDS[Math.sign(files.length)],
      height: Math.round(12 + 88 * (Math.log1p(took[at]) / longest)),
    }))
    for (const chart of this.#charts) chart.draw(this.#bars)
    this.at(this.#here)
  }

  /** The reader is at this turn. */
  at(id) {
    this.#here = id
    this.#mark('here', id)
  }

  #over(bar) {
    for (const { root } of this.#charts) root.title = bar?.title ?? ''
    this.#mark('over', bar?.id)
  }

  #mark(kind, id) {
    const place = this.#bars.findIndex((bar) => bar.id === id)
    for (const chart of this.#charts) chart.mark(kind, place, this.#bars[place])
  }

  #barAt({ clientX, currentTarget }) {
    const { left, width } = currentTarget.firstChild.getBoundingClientRect()
    return this.#bars[Math.floor(((clientX - left) / width) * this.#bars.length)]
  }
}

/** One drawing of the bars, in an element; all of the same height when one is given. */
class Chart {
  #paths = Object.fromEntries([...KINDS, ...MARKS].map((kind) => [kind, svg('path', { class: kind })]))
  #svg = svg('svg', { class: 'chart', preserveAspectRatio: 'none' }, ...Object.values(this.#paths))

  constructor(root, height) {
    Object.assign(this, { root, height })
    root.append(this.#svg)
  }

  draw(bars) {
    this.root.hidden = bars.length < 2
    set(this.#svg, 'viewBox', `0 0 ${bars.length} 100`)
    this.root.style.setProperty('--bars', bars.length)
    for (const kind of KINDS) {
      const drawn = bars.map((bar, at) => (bar.kind === kind ? this.#bar(at, bar) : ''))
      set(this.#paths[kind], 'd', drawn.join(''))
    }
  }

  mark(kind, at, bar) {
    set(this.#paths[kind], 'd', bar ? this.#bar(at, bar) : '')
  }

  #bar(at, { height }) {
    const tall = this.height ?? height
    return `M${at} 100v-${tall}h${BAR}v${tall}z`
  }
}

function set(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value)
}
