// How the page stands to its share, and what the agent does: in the bar, in the page's title, and for who looks
// elsewhere as a notification.

import { rewrite } from './dom.js'
import { duration, exactTime, timeAgo } from './format.js'
import { doingOf } from './load/doing.js'
import { strings } from './strings.js'
import { nameOf } from './view/words.js'

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
  /** How many parts came while nobody looked. */
  unseen = 0
  #was
  #isDone = false

  /** `tell` is called when the agent has come to its end, or waits for an answer, with what it did. */
  constructor(session, turns, stateNode, activityNode, tell) {
    Object.assign(this, { session, turns, stateNode, activityNode, tell })
    document.addEventListener('visibilitychange', () => {
      this.unseen = 0
      this.#isDone = false
      this.update()
    })
  }

  get isLive() {
    return this.state === 'live'
  }

  /** What the agent does: `busy`, `waiting`, `idle`, `gone`, `rests` when it was busy and is silent; or nothing. */
  get does() {
    if (!this.isLive) return undefined
    const { state, at } = this.session.activity ?? {}
    const last = Math.max(this.turns.ended ?? 0, this.lastWord ?? 0)
    return state === 'busy' && !at && last && Date.now() - last > RESTS ? 'rests' : state
  }

  update() {
    const { state, stateNode, does } = this
    stateNode.dataset.state = state
    // Green says that the agent works now; a page that is only open has a ring.
    stateNode.dataset.does = does ?? ''
    const { ended } = this.turns
    const isDone = ended && (does === 'idle' || does === 'gone')
    const words = isDone ? strings.done(timeAgo(ended)) : does === 'rests' && ended && strings.ended(timeAgo(ended))
    rewrite(stateNode, words || strings.state[state])
    stateNode.title = ended ? exactTime(ended) : ''
    this.#activity(does)
    this.#elsewhere(does)
  }

  #activity(does) {
    const { activityNode } = this
    const { label = '', at } = this.session.activity ?? {}
    // That an agent that says nothing itself is done is said already.
    activityNode.hidden = !does || does === 'rests' || (does === 'idle' && !at)
    if (activityNode.hidden) return
    activityNode.dataset.activity = does
    const silence = does === 'busy' && this.lastWord ? Date.now() - this.lastWord : 0
    const words = [label.slice(0, MAX_LABEL).toWellFormed() || this.#doing(does)]
    if (silence > RESTS) words.push(strings.silent(duration(silence)))
    rewrite(activityNode, words.join(', '))
    activityNode.title = at ? exactTime(at) : ''
  }

  #doing(does) {
    if (does !== 'busy') return strings.activity[does]
    const { kind, call, since } = doingOf(this.session)
    const about = (call?.about ?? '').slice(0, MAX_LABEL).toWellFormed()
    const what = call && [call.meaning === 'run' ? '' : nameOf(call), about].filter(Boolean).join(' ')
    const took = since && Date.now() - since >= 1000 ? ` · ${duration(Date.now() - since)}` : ''
    return strings.doing[kind](what) + took
  }

  /** Says it in the title and the icon, and tells who wanted to be told. */
  #elsewhere(does) {
    if (this.#was === 'busy' && (does === 'idle' || does === 'gone' || does === 'waiting')) {
      if (document.hidden) this.#isDone = true
      this.tell(does)
    }
    if (does === 'busy') this.#isDone = false
    this.#was = does ?? this.#was
    const mark = does === 'waiting' ? 'waiting' : does === 'busy' ? 'busy' : this.#isDone ? 'done' : ''
    const begin = mark ? strings.titles[mark] : this.unseen ? `(${this.unseen}) ` : ''
    const title = begin + (this.title ?? strings.untitled)
    if (document.title !== title) document.title = title
    const icon = document.querySelector('link[rel=icon]')
    const file = mark ? `icon-${mark}.svg` : 'icon.svg'
    if (icon && !icon.href.endsWith(`/${file}`)) icon.href = new URL(file, import.meta.url).href
  }

  /** Whether what runs in a node since then did not come to its end. */
  isLeft(node, since) {
    const { state: does, at } = this.session.activity ?? {}
    // Where the agent says itself that it rests or has ended, nothing is under way.
    const rests = at && (does === 'idle' || does === 'gone')
    // Some agents do not say since when: then their last word counts, once that is known.
    const last = Math.max(since, this.turns.ended ?? 0, this.lastWord ?? 0)
    return rests || node.closest('[data-over]') || (this.lastWord && Date.now() - last > UNFINISHED)
  }
}
