// What stands above the session: its title, what was asked, how it ended, what it took, and a strip of its turns.

import { time } from './clock.js'
import { arrange, el, write } from './dom.js'
import { cost, count, duration, short } from './format.js'
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

/** The turns as bars, as high as each took long: a chart, a way to each, and in the bar at the top where one is. */
class Strip {
  #bars = new Map()
  #here

  constructor(roots, turns, link) {
    Object.assign(this, { roots, turns, link })
    for (const root of roots) {
      root.addEventListener('click', ({ target }) => {
        const { turn } = target.closest('[data-turn]')?.dataset ?? {}
        if (turn) location.hash = link({ id: turn })
      })
    }
  }

  update() {
    const turns = this.turns.all.filter(({ prompt }) => prompt)
    const took = turns.map(({ sum: { started, ended } }) => Math.max(0, (ended ?? 0) - (started ?? 0)))
    const longest = Math.log1p(Math.max(1, ...took))
    const known = this.#bars
    this.#bars = new Map()
    turns.forEach((turn, at) => {
      const entry = known.get(turn.id) ?? {
        bars: this.roots.map(() => el('i', { dataset: { turn: turn.id } }, el('b', {}))),
      }
      this.#bars.set(turn.id, entry)
      const height = Math.round(12 + 88 * (Math.log1p(took[at]) / longest))
      if (entry.version === turn.version && entry.height === height) return
      Object.assign(entry, { version: turn.version, height })
      const { outcome, files } = turn.sum
      const title = [`${turn.number}. ${turn.label}`, took[at] && duration(took[at])].filter(Boolean).join(' · ')
      for (const bar of entry.bars) {
        bar.title = title
        bar.dataset.outcome = outcome
        bar.toggleAttribute('data-edits', files.length > 0)
      }
      entry.bars[0].firstChild.style.height = `${height}%`
    })
    this.roots.forEach((root, at) => {
      root.hidden = turns.length < 2
      arrange(
        root,
        [...this.#bars.values()].map(({ bars }) => bars[at]),
      )
    })
    this.at(this.#here)
  }

  at(id) {
    for (const bar of this.#bars.get(this.#here)?.bars ?? []) bar.classList.remove('here')
    this.#here = id
    for (const bar of this.#bars.get(id)?.bars ?? []) bar.classList.add('here')
  }
}
