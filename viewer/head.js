// What stands above the session: its title, and what it came to.

import { time } from './clock.js'
import { arrange, el, write } from './dom.js'
import { cost, duration, short } from './format.js'
import { strings } from './strings.js'
import { text } from './values.js'

// Characters of a title, and of a name, that are shown.
const MAX_TITLE = 1000

export class Head {
  #title
  #facts = el('div', { class: 'facts' })

  constructor(root, session, turns, topTitle) {
    Object.assign(this, { session, turns, topTitle })
    this.#title = el('h1', { dir: 'auto' }, strings.untitled)
    root.append(this.#title, this.#facts)
  }

  /** Brings it up to date; the share `ends` then, when it does. */
  update(ends) {
    const { session, turns } = this
    const title = text(session.info?.title).slice(0, MAX_TITLE).toWellFormed() || strings.untitled
    if (this.#title.textContent !== title) {
      write(this.#title, title)
      write(this.topTitle, title)
      document.title = title
    }
    const { started, ended, tokens, cost: spent, models } = turns.totals
    const names = models.map((model) => text(session.models.find(({ id }) => id === model)?.name ?? model))
    const undone = session.undone()
    arrange(
      this.#facts,
      [
        session.directory && el('span', { class: 'path', dir: 'auto' }, session.directory),
        session.agent && el('span', { dir: 'auto' }, session.agent.slice(0, MAX_TITLE)),
        names.length && el('span', { dir: 'auto' }, names.join(', ')),
        started && time(started),
        started && ended > started && el('span', {}, duration(ended - started)),
        tokens.all && el('span', {}, strings.tokens(short(tokens.all))),
        spent && el('span', {}, cost(spent)),
        session.secrets && el('span', {}, strings.secretsHidden(session.secrets)),
        undone && el('span', {}, strings.reverted(undone)),
        ends && el('span', {}, `${strings.ends} `, time(ends, true)),
      ].filter(Boolean),
    )
  }
}
