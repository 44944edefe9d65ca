// A subagent's conversation: under the task that opened it, or by itself where no task names it. What makes the
// session's own turns makes its turns too, when it is first opened, and then they grow in place.

import { el, guarded } from '../dom.js'
import { promptText } from '../load/session.js'
import { readCall } from '../load/calls.js'
import { stepsOf } from '../load/steps.js'
import { toolOf } from '../load/tools.js'
import { strings } from '../strings.js'
import { json, record, text } from '../values.js'
import { folded, nameFold, output } from './frame.js'
import { besideSteps, callLine } from './tools.js'
import { brief, nameOf } from './words.js'

export class SubagentView {
  #session
  #turns
  #shown
  #steps = el('div', { class: 'steps' })
  #result = el('div', {})

  /**
   * `part` is that of the task that opened the subagent, when there is one. `isOpen` says whether it was open before;
   * `makeTurns` gives what shows its turns in an element.
   */
  constructor(session, subagent, part, isOpen, makeTurns) {
    this.subagent = subagent
    this.#session = session
    const make = () => {
      this.#turns = makeTurns(this.#steps)
      this.#turns.update()
      return [this.#steps, this.#result]
    }
    const frame = part ?? { id: `subagent-${subagent}`, type: 'subagent' }
    const { node, details } = folded(frame, 'tool', [], make, this.#words(part), isOpen || undefined)
    this.node = node
    this.details = details
    node.dataset.tool = toolOf('task')
    this.update(part)
  }

  /** Whether the subagent has come to its end. */
  get isOver() {
    return this.#session.isOver(this.subagent)
  }

  /** Makes the turns without opening them. */
  make() {
    this.details.make()
  }

  /** Brings it up to date: the task's part, and the turns for the messages that changed, all when none are named. */
  update(part, changed) {
    const done = stepsOf(this.#session, this.subagent)
    const turns = this.#session.turns(this.subagent)
    const shown = [part, done.steps, done.files, words(done.now), this.isOver, this.#lastWords(turns)]
    if (shown.some((value, at) => value !== this.#shown?.[at])) {
      this.#shown = shown
      const line = guarded(
        () => this.#line(part, done),
        () => [strings.subagent],
      )
      this.details.firstChild.replaceChildren(...line)
      nameFold(this.details, line)
      if (part) this.#beside(part, turns)
    }
    this.#turns?.update(changed)
    return true
  }

  #beside(part, turns) {
    const state = record(part.state)
    this.node.dataset.status = text(state.status)
    const isAsked = Boolean(turns[0]?.prompt)
    const beside = guarded(() => besideSteps(readCall(part), state, isAsked, this.#lastWords(turns)))
    this.#result.replaceChildren(...(beside ?? [output(json(part))]))
  }

  #line(part, { steps, files, now }) {
    const { status } = record(part?.state)
    const works = !this.isOver && status !== 'completed' && status !== 'error'
    const said = [
      steps && strings.steps(steps),
      files && strings.filesChanged(files),
      works && now && strings.now(words(now)),
    ]
    const line = said.filter(Boolean).join(' · ')
    return [
      ...(part ? callLine(readCall(part), record(part.state)) : this.#unlinkedLine()),
      ...(line ? [el('span', { class: 'tool-steps', dir: 'auto' }, line)] : []),
    ]
  }

  #unlinkedLine() {
    return [
      el('span', { class: `dot ${this.isOver ? 'completed' : 'running'}` }),
      el('span', { class: 'tool-name' }, strings.subagent),
      el('span', { class: 'tool-what', dir: 'auto' }, brief(this.#firstWords())),
      el('span', { class: 'tool-meta' }, strings.unlinked),
    ]
  }

  #firstWords() {
    const [first] = this.#session.stepsOf(this.subagent)
    return promptText(this.#session.partsOf(first))
  }

  #lastWords(turns) {
    const last = turns.at(-1)?.answers.at(-1)
    return last ? promptText(this.#session.partsOf(last)).trim() : ''
  }

  /** What its line says, and where no turns are made what stands in for them. */
  #words(part) {
    if (!part) return this.#firstWords()
    const { about, agent, prompt } = readCall(part)
    return [about, agent, prompt].filter(Boolean).join('\n')
  }

  /** What a search goes through: the line, the turns, what came out. */
  searchable() {
    this.make()
    const piece = (node) => ({ place: { node }, text: node.textContent, kind: 'output' })
    return [piece(this.details.firstChild), ...(this.#turns?.searchable() ?? []), piece(this.#result)]
  }
}

/** What a call is about, in a few words. */
const words = (call) => call && [nameOf(call), brief(call.about ?? '')].filter(Boolean).join(' ')
