// How the page stands to its share, and what the agent does, in the bar.

import { duration, exactTime, timeAgo } from './format.js'
import { strings } from './strings.js'

// Characters of an agent's own words.
const MAX_LABEL = 80

// A session that nothing was added to for this long is said to rest.
const RESTS = 2 * 60_000
// What was under way when a session came to rest for so long did not come to its end.
const UNFINISHED = 60 * 60_000

export class Status {
  /** How the connection is. */
  state = 'loading'
  /** When something of the session last changed, in milliseconds since 1970. */
  lastWord = undefined

  constructor(session, turns, stateNode, activityNode) {
    Object.assign(this, { session, turns, stateNode, activityNode })
  }

  get isLive() {
    return this.state === 'live'
  }

  update() {
    const { state, stateNode } = this
    stateNode.dataset.state = state
    const { ended } = this.turns.totals
    const rests = this.isLive && ended && Date.now() - ended > RESTS
    const { state: does } = this.session.activity ?? {}
    // Green says that the agent works now; a page that is only open has a ring.
    stateNode.dataset.does = !this.isLive ? '' : does === 'gone' ? 'gone' : does === 'busy' && !rests ? 'busy' : 'idle'
    write(stateNode, rests ? strings.ended(timeAgo(ended)) : strings.state[state])
    stateNode.title = ended ? exactTime(ended) : ''
    this.#activity()
  }

  /** What the agent does, for as long as it can be known: of a page that is not live nobody does. */
  #activity() {
    const { activityNode, session } = this
    const { state: does, label, at } = session.activity ?? {}
    // Of an agent that says nothing itself only that an answer is awaited is worth a word.
    activityNode.hidden = !this.isLive || !does || (does === 'idle' && !at)
    if (activityNode.hidden) return
    activityNode.dataset.activity = does
    const silence = does === 'busy' && this.lastWord ? Date.now() - this.lastWord : 0
    const words = [label.slice(0, MAX_LABEL).toWellFormed() || strings.activity[does]]
    if (silence > RESTS) words.push(strings.silent(duration(silence)))
    write(activityNode, words.join(', '))
    activityNode.title = at ? exactTime(at) : ''
  }

  /** Whether what runs in a node since then did not come to its end. */
  isLeft(node, since) {
    const { state: does, at } = this.session.activity ?? {}
    // Where the agent says itself that it rests or has ended, nothing is under way.
    const rests = at && (does === 'idle' || does === 'gone')
    // Some agents do not say since when: then their last word counts, once that is known.
    const last = Math.max(since, this.turns.totals.ended ?? 0, this.lastWord ?? 0)
    return rests || node.closest('[data-over]') || (this.lastWord && Date.now() - last > UNFINISHED)
  }
}

function write(node, words) {
  if (node.textContent !== words) node.textContent = words
}
