// One turn: its prompt, what was answered to it, and what it came to. What was answered is drawn at once, or when it
// comes near the screen; until then its words stand there.

import { time } from '../clock.js'
import { anchor, arrange, copyButton, el, guarded, postpone, rewrite, settled, whenNear } from '../dom.js'
import { cost, count, duration, short } from '../format.js'
import { icon } from '../icons.js'
import { callIn } from '../load/calls.js'
import { messagesOfTurn, promptText, times } from '../load/session.js'
import { firstWords } from '../load/turns.js'
import { renderMarkdown, standIn } from '../markdown.js'
import { strings } from '../strings.js'
import { json, record } from '../values.js'
import { STAND_IN_CHARACTERS, countsOf, errorBox, fileBody, frame, hasPictures, noteBox, output } from './frame.js'
import { PROMPT_LINES, heightOf, linesOf, setHeight } from './height.js'
import { partView } from './parts.js'
import { errorText, isEdit, isLook, saidBy, shownBy } from './words.js'

// Characters of what stands in for a part: to lay out more costs more than to look where it is.
const LONG_STAND_IN = 2000

// What took less, in milliseconds, is not worth a number.
const SHOWN = 1000

function took(item) {
  const { start, end } = times(item)
  return start && end > start ? end - start : 0
}

export class TurnView {
  // That of the turn as it was last shown.
  version = undefined
  #isDrawn = false
  #drawPrompt
  #parts = new Map()
  #groups = new Map()

  #turns
  #session

  /** One of `turns`. One without an id holds parts whose messages are not there. */
  constructor(id, turns) {
    this.#turns = turns
    this.#session = turns.session
    this.promptNode = el('div', { class: 'prompt' })
    this.answer = el('div', { class: 'answer' })
    this.heading = el('h3', { class: 'visually-hidden' }, strings.answer)
    this.foot = el('footer', { class: 'turn-foot' })
    this.node = el(
      'section',
      { class: 'turn', id, tabindex: '-1' },
      this.promptNode,
      this.heading,
      this.answer,
      this.foot,
    )
    if (id === undefined) this.node.prepend(el('p', { class: 'note' }, strings.stray))
  }

  /** When nothing else works: all that the turn holds, as it is. */
  updateRaw(messages) {
    const all = messages.map((message) => json([message.info, ...this.#session.partsOf(message)]))
    this.answer.replaceChildren(...all.map((words) => output(words)))
  }

  /** Shows a turn as it is now: what was answered at once, or when it comes near the screen. */
  update(turn, changed, isAtOnce) {
    this.turn = turn
    const { prompt } = turn
    this.promptNode.hidden = !prompt
    if (prompt)
      guarded(
        () => this.#prompt(prompt),
        () => this.promptNode.replaceChildren(output(json(this.#session.partsOf(prompt)))),
      )
    if (this.#isDrawn) this.#draw(changed)
    else if (isAtOnce) this.draw()
    else {
      guarded(() => this.#standIn())
      postpone(this.node, () => this.draw())
    }
    this.height = heightOf(turn, this.#session)
    setHeight(this.node, `${this.height}px`)
    guarded(
      () => this.#footer(turn),
      () => this.foot.replaceChildren(),
    )
  }

  /** Draws what was left until it comes near. */
  draw() {
    if (this.#isDrawn) return
    this.#isDrawn = true
    settled(this.node)
    this.#drawPrompt?.()
    this.#draw()
  }

  /** Until then its text stands there, so that find-in-page finds it, and whoever hears the page hears it. */
  #standIn() {
    const parts = this.turn.answers.flatMap((message) => this.#session.partsOf(message))
    this.answer.replaceChildren(
      ...parts.map((part) => {
        const said = saidBy(part).map(({ text }) => el('p', {}, text.slice(0, STAND_IN_CHARACTERS)))
        const node = el('div', { class: hasPictures(part) ? 'stand-in pictured' : 'stand-in' }, said)
        node.classList.toggle('long', node.textContent.length > LONG_STAND_IN)
        return node
      }),
    )
  }

  #draw(changed) {
    const { prompt, answers } = this.turn
    guarded(
      () => this.#answer(changed),
      () => this.updateRaw([prompt, ...answers].filter(Boolean)),
    )
  }

  #answer(changed) {
    const session = this.#session
    const seen = new Set()
    const blocks = []
    let run = []
    const flush = () => {
      // Thoughts between looks go with them; behind the last one they are the beginning of what comes.
      const looks = run.findLastIndex(({ view }) => view.call) + 1
      if (looks > 1) blocks.push(this.#group(run.splice(0, looks)))
      blocks.push(...run.map(({ view }) => view.node))
      run = []
    }
    for (const { message, parts } of this.#shownParts()) {
      for (const part of parts) {
        const id = `${message.id}/${part.id}`
        const view = this.#view(id, part, session.subagentOf(message, part), changed)
        seen.add(id)
        if (!view) continue
        // What runs in an answer that has come to its end does so no more, but for a subagent in the background.
        const isOver = times(message.info).completed !== undefined && view.isOver !== false
        view.node.toggleAttribute('data-over', Boolean(message.info.error) || isOver)
        if (part.type === 'reasoning' || (view.call && isLook(view.call))) {
          run.push({ id, part, view })
          continue
        }
        flush()
        blocks.push(view.node)
      }
      if (message.info.error) {
        flush()
        blocks.push(this.#error(message))
        seen.add(`error ${message.id}`)
      }
    }
    flush()
    for (const message of messagesOfTurn(this.turn)) {
      for (const subagent of session.unlinkedAt(message)) {
        const id = `subagent ${subagent}`
        seen.add(id)
        const view = this.#view(id, undefined, subagent, changed)
        if (view) blocks.push(view.node)
      }
    }
    for (const id of this.#parts.keys()) if (!seen.has(id)) this.#parts.delete(id)
    arrange(this.answer, blocks)
    this.heading.hidden = !blocks.length
  }

  /** The answers with their parts. Where edits are shown, a list of the files that they changed says nothing more. */
  #shownParts() {
    const answers = this.turn.answers.map((message) => ({ message, parts: this.#session.partsOf(message) }))
    const edits = answers.some(({ parts }) => parts.some((part) => isEdit(callIn(part))))
    return edits
      ? answers.map(({ message, parts }) => ({ message, parts: parts.filter(({ type }) => type !== 'patch') }))
      : answers
  }

  /** The view of a part, or of a subagent, whose task it may be; the one it had before, where it is the same. */
  #view(id, part, subagent, changed) {
    const known = this.#parts.get(id)
    const isSame = known && known.view?.subagent === subagent && known.part?.type === part?.type
    if (isSame && known.part === part && subagent === undefined) return known.view
    if (isSame && guarded(() => known.view?.update?.(part, changed))) {
      known.part = part
      return known.view
    }
    const view = guarded(
      () => (subagent === undefined ? partView(part, this.#turns.page) : this.#turns.subagentView(subagent, part)),
      () => part && partView(part, this.#turns.page),
    )
    // A subagent that stood elsewhere may be open already.
    if (view && known?.view && !view.details?.open) keepOpen(known.view.node, view.node)
    this.#parts.set(id, { part, view })
    return view
  }

  #prompt(message) {
    const parts = this.#session.partsOf(message)
    const key = JSON.stringify([message.info.time, parts])
    if (this.promptKey === key) return
    this.promptKey = key
    const words = promptText(parts)
    this.promptText = words
    const files = parts.filter(({ type }) => type === 'file')
    const others = parts.filter(({ type }) => type !== 'text' && type !== 'file').map((part) => partView(part)?.node)
    this.promptNode.replaceChildren(
      el(
        'header',
        {},
        el('h2', {}, strings.you, el('span', { class: 'visually-hidden' }, `: ${firstWords(words)}`)),
        time(record(message.info.time).created),
        anchor(strings, message.id),
        words ? copyButton(strings, words) : '',
        this.#turns.openTurn &&
          el(
            'button',
            {
              ...{ class: 'turn-menu', type: 'button', title: strings.turnMenu, 'aria-label': strings.turnMenu },
              onclick: () => this.#turns.openTurn(this.turn),
            },
            icon('more'),
          ),
      ),
      ...this.#words(words),
      files.length
        ? el(
            'div',
            { class: 'files' },
            files.map((file) =>
              el(
                'div',
                { id: file.id },
                guarded(
                  () => fileBody(file),
                  () => output(json(file)),
                ),
              ),
            ),
          )
        : '',
      ...others.filter(Boolean),
    )
  }

  /** The text of the prompt; of a long one its beginning, until somebody wants all. */
  #words(words) {
    const node = el('div', { class: 'prompt-text markdown', dir: 'auto' })
    standIn(node, words)
    this.#drawPrompt = () => whenNear(node, () => renderMarkdown(node, words, { isTyped: true }))
    if (this.#isDrawn) this.#drawPrompt()
    const lines = linesOf(words)
    if (lines <= PROMPT_LINES + 3) return [node]
    node.classList.add('clamped')
    const more = el('button', { class: 'more', type: 'button' }, strings.showAll(count(lines)))
    more.show = () => {
      node.classList.remove('clamped')
      more.remove()
    }
    more.addEventListener('click', more.show)
    return [node, more]
  }

  #group(run) {
    // Keyed by its first part, so that it stays open while it grows.
    const { id } = run[0]
    let group = this.#groups.get(id)
    if (!group) {
      const label = el('span', { class: 'tool-what' })
      const took = el('span', { class: 'tool-meta' })
      const inner = el('div', { class: 'group' })
      const details = el(
        'details',
        { class: 'fold' },
        el('summary', {}, el('span', { class: 'dot completed' }), icon('look'), label, took),
        inner,
      )
      group = {
        node: el('div', { class: 'part part-tool part-group', dataset: { kind: 'tool' } }, details),
        label,
        took,
        inner,
      }
      this.#groups.set(id, group)
    }
    const looks = run.filter(({ view }) => view.call)
    const reads = looks.filter(({ view }) => view.call.meaning === 'read')
    const files = new Set(reads.flatMap(({ view }) => view.call.paths ?? [])).size
    const spent = run.reduce((sum, { part, view }) => sum + took(view.call ? part.state : part), 0)
    const label = strings.lookedAt(files || reads.length, looks.length - reads.length)
    rewrite(group.label, label)
    group.node.firstChild.setAttribute('aria-label', label)
    rewrite(group.took, spent >= SHOWN ? duration(spent) : '')
    arrange(
      group.inner,
      run.map(({ view }) => view.node),
    )
    return group.node
  }

  #error(message) {
    const id = `error ${message.id}`
    const words = errorText(message.info.error)
    const known = this.#parts.get(id)
    if (known?.words === words) return known.view.node
    const aborted = message.info.error.name === 'MessageAbortedError'
    const node = frame(
      { id: `error-${message.id}` },
      'error',
      aborted ? noteBox(words) : errorBox(`${strings.error}: ${words}`),
    )
    this.#parts.set(id, { part: undefined, words, view: { node, text: () => words } })
    return node
  }

  /** What the turn came to, in a line. */
  #footer({ answers, sum }) {
    const last = answers.at(-1)?.info
    if (!last) return this.foot.replaceChildren()
    const { outcome, tests, files, added, removed, commands, errors, models, started, cost: spent, tokens } = sum
    const ended = times(last).completed
    const isBad = outcome === 'failed'
    const said = (words, kind) => words && el('span', kind ? { class: kind } : {}, words)
    this.foot.replaceChildren(
      ...[
        outcome === 'stopped' && said(strings.outcomes.stopped),
        isBad && !tests?.failed && said(`✕ ${strings.outcomes.failed}`, 'bad'),
        tests && said(strings.tests(tests), tests.failed ? 'bad' : 'good'),
        files.length > 0 && el('span', {}, strings.filesOf(files.length), ' ', ...countsOf({ added, removed })),
        said(commands && strings.commands(commands)),
        errors.length > 0 && !isBad && said(strings.errors(errors.length), 'bad'),
        said(started && ended && duration(ended - started)),
        said(cost(spent)),
        tokens.all > 0 && said(strings.tokens(short(tokens.all))),
        said(models.at(-1)),
        !ended && started && outcome === 'running' && said(strings.running, 'busy'),
      ].filter(Boolean),
    )
  }

  /** What a search goes through, as `TurnsView.searchable` has it. A turn is drawn when its place is gone to. */
  searchable() {
    const { turn } = this
    const session = this.#session
    const unlinked = messagesOfTurn(turn).flatMap((message) => session.unlinkedAt(message))
    const answers = this.#shownParts()
    const isTask = ({ message, parts }) => parts.some((part) => session.subagentOf(message, part) !== undefined)
    // What stands in a subagent its view knows alone.
    if (unlinked.length || answers.some(isTask)) this.draw()
    const found = [{ place: { node: this.promptNode }, text: this.promptText ?? '', kind: 'prompts' }]
    for (const { message, parts } of answers) {
      for (const part of parts) {
        const id = `${message.id}/${part.id}`
        const isError = Boolean(callIn(part).failed)
        const place = this.#placeOf(id)
        if (session.subagentOf(message, part) !== undefined) found.push(...this.#within(id))
        else found.push(...shownBy(part).map((piece) => ({ place, ...piece, isError })))
      }
      const { error } = message.info
      const place = this.#placeOf(`error ${message.id}`)
      if (error) found.push({ place, text: errorText(error), kind: 'output', isError: true })
    }
    for (const subagent of unlinked) found.push(...this.#within(`subagent ${subagent}`))
    return found.map((piece) => ({ ...piece, turn }))
  }

  #within(id) {
    return this.#parts.get(id)?.view?.searchable?.() ?? []
  }

  /** Where a part stands: its element, which is drawn when somebody goes there. */
  #placeOf(id) {
    const element = () => {
      this.draw()
      return this.#parts.get(id)?.view?.node ?? this.node
    }
    return {
      get node() {
        return element()
      },
    }
  }
}

function keepOpen(older, newer) {
  const was = older.querySelector('details')
  const is = newer.querySelector('details')
  if (!was || !is || was.open === is.open) return
  is.open = was.open
  if (is.open) is.make?.()
}
