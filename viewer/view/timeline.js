// The session as one scroll: a section for each turn. A change touches the elements of its own turn alone.

import {
  arrange,
  beginWithin,
  comesNear,
  el,
  finishWithin,
  foldsWithin,
  guarded,
  inSlices,
  onScrolled,
} from '../dom.js'
import { messagesOfTurn } from '../load/session.js'
import { firstAbove } from '../load/schedule.js'
import { Turns } from '../load/turns.js'
import { setHeight } from './height.js'
import { SubagentView } from './subagent.js'
import { TurnView } from './turn.js'

// Turns at the beginning that are drawn at once.
const FIRST_TURNS = 4

// Turns of a group.
const GROUP = 12

// Screens beyond this one within which turns are drawn: with what is written in them that is done before they are laid
// out, which `content-visibility` does within one and a half.
const REACH = 5

// Screens from one frame to the next: who scrolls farther in two in a row reads nothing. What comes near meanwhile is
// drawn when they slow down, and until then its first words stand there: to draw it would hold up the next frames, for
// what is out of sight in them.
const FAST = 0.25

/**
 * The turns of a session, or of one of its subagents, in an element. The first ones are drawn at once, and the last one
 * of a session that has come; others when they come near the screen, or somebody asks for what stands in them.
 */
class TurnsView {
  #views = new Map()

  /** The elements of the turns, in order. */
  nodes = []

  /**
   * `link` makes the fragment of a place. `subagents` are the views of all subagents, by their sessions, and `opened`
   * which of them stand open: also when a task comes that opens one that had none.
   */
  constructor(root, session, link, subagent, subagents = new Map(), opened = new Set()) {
    Object.assign(this, { root, session, link, subagent, subagents, opened })
    this.turns = new Turns(session, subagent)
  }

  /** What parts have to know of the page. */
  get page() {
    return { directory: this.session.directory, link: this.link }
  }

  /** Brings the page up to date for the messages that changed; all of them when none are named. */
  update(changed) {
    this.turns.update(changed)
    const views = []
    const { all } = this.turns
    for (const [at, turn] of all.entries()) {
      let view = this.#views.get(turn.id)
      if (!view) {
        view = new TurnView(turn.id, this)
        this.#views.set(turn.id, view)
      }
      if (view.version !== turn.version) {
        view.version = turn.version
        const isLast = at === all.length - 1 && this.session.isWhole
        const isAtOnce = this.subagent !== undefined || at < FIRST_TURNS || isLast
        view.update(turn, changed, isAtOnce)
      }
      views.push(view)
    }
    for (const id of this.#views.keys()) if (!this.turns.get(id)) this.#views.delete(id)
    this.nodes = views.map(({ node }) => node)
    arrangeInGroups(this.root, views)
  }

  /** Draws all turns. */
  draw() {
    for (const view of this.#views.values()) view.draw()
  }

  /** The view of the turn in which a message or a part stands; nothing when there is none. */
  viewAround(id) {
    const holds = (message) => message.id === id || `error-${message.id}` === id || message.parts.has(id)
    return this.#views.get(this.turns.all.find((turn) => messagesOfTurn(turn).some(holds))?.id)
  }

  /** What a search goes through, in order: `[{ place, text, kind, turn, isError }]`; a place has its `node`. */
  searchable() {
    return this.turns.all.flatMap(({ id }) => this.#views.get(id)?.searchable() ?? [])
  }

  /** The view of a subagent. */
  subagentView(subagent, part) {
    const { session, link, subagents, opened } = this
    const makeTurns = (root) => new TurnsView(root, session, link, subagent, subagents, opened)
    const view = new SubagentView(session, subagent, part, opened.has(subagent), makeTurns)
    view.details.addEventListener('toggle', () => opened[view.details.open ? 'add' : 'delete'](subagent))
    subagents.set(subagent, view)
    return view
  }
}

export class Timeline extends TurnsView {
  #near = []
  #seen = { top: 0, moved: 0 }
  #over = new AbortController()
  // An observer of each turn would cost each frame a look at all of them.
  #look = onScrolled(() => this.#mark(), this.#over.signal)
  // Turns move too when something opens or comes.
  #resized = new ResizeObserver(this.#look)

  constructor(...all) {
    super(...all)
    this.#resized.observe(this.root)
  }

  /** Is not shown any more. */
  end() {
    this.#over.abort()
    this.#resized.disconnect()
  }

  update(changed) {
    super.update(changed)
    this.#look()
  }

  /** Has the turns drawn that are near the screen now, the nearest first; those that have left it are left alone. */
  #mark() {
    const around = this.#isFast() ? [] : this.#waitingAround()
    const near = around.toSorted((one, other) => one.away - other.away).map(({ node }) => node)
    for (const node of this.#near) if (!near.includes(node)) comesNear(node, false)
    for (const node of near) comesNear(node)
    this.#near = near
  }

  /** Whether a reader scrolls fast. Then somebody is to look again behind the next frame: they may have stopped. */
  #isFast() {
    const before = this.#seen
    this.#seen = { top: scrollY, moved: Math.abs(scrollY - before.top) }
    const isFast = Math.min(before.moved, this.#seen.moved) > FAST * innerHeight
    if (isFast) this.#look()
    return isFast
  }

  /** The turns that wait and are near the screen, `[{ node, away }]`: how many pixels beyond it they are. */
  #waitingAround() {
    const around = []
    // Another room is shown.
    if (!this.root.getClientRects().length) return around
    const reach = REACH * innerHeight
    for (let at = firstAbove(this.nodes, -reach, bottomOf); at < this.nodes.length; at += 1) {
      const node = this.nodes[at]
      const { top, bottom } = node.getBoundingClientRect()
      if (top > innerHeight + reach) break
      if (node.matches('[data-lazy]')) around.push({ node, away: Math.max(0, top - innerHeight, -bottom) })
    }
    return around
  }

  /** The element of a message or a part. It is drawn first, and in a subagent that is made. */
  find(id) {
    const around = this.session.subagentsAround(id)
    const [outermost] = around
    this.viewAround(id)?.draw()
    if (outermost !== undefined && !this.subagents.has(outermost)) this.draw()
    for (const subagent of around) this.subagents.get(subagent)?.make()
    return document.getElementById(id) ?? this.subagents.get(around.at(-1))?.node
  }

  /** How far below the top of the screen a message or a part begins; one that is not drawn, where its turn does. */
  topOf(id) {
    const node = document.getElementById(id) ?? this.viewAround(id)?.node
    return node?.getBoundingClientRect().top ?? 0
  }

  /** Makes everything that is folded, far away or left out for its length, to its end: for what is taken along. */
  async finish() {
    await finishWithin(this.root)
    await inSlices(foldsWithin(this.root), (details) => details.make?.())
    await finishWithin(this.root)
    await inSlices(this.root.querySelectorAll('button.more'), (more) => more.show())
    await finishWithin(this.root)
  }

  /** The same at once, for print: what takes its time stands there as its plain text. Gives what folds it again. */
  unfold() {
    this.draw()
    const folded = []
    for (const details of foldsWithin(this.root)) {
      guarded(() => details.make?.())
      if (!details.open) folded.push(details)
    }
    for (const details of folded) details.open = true
    beginWithin(this.root)
    for (const more of this.root.querySelectorAll('button.more')) guarded(() => more.show(true))
    beginWithin(this.root)
    return () => {
      for (const details of folded) details.open = false
    }
  }
}

/** Brings turns into their order, so many in a group. */
function arrangeInGroups(root, views) {
  const groups = []
  for (let at = 0; at < views.length; at += GROUP) {
    const group = root.children[groups.length] ?? el('div', { class: 'turns' })
    const some = views.slice(at, at + GROUP)
    arrange(
      group,
      some.map(({ node }) => node),
    )
    // With the room below each.
    const height = `calc(${some.reduce((sum, { height }) => sum + height, 0)}px + ${some.length} * var(--between))`
    setHeight(group, height)
    groups.push(group)
  }
  arrange(root, groups)
}

const bottomOf = (node) => node.getBoundingClientRect().bottom
