// The session played back as it was seen live: a room in which the views of the session show one of the past
// (load/seen.js), and a bar to go through its time. What comes meanwhile is drawn when the room is left.

import { copyButton, el, iconButton } from './dom.js'
import { isAtEnd } from './follow.js'
import { clock, duration } from './format.js'
import { toEnd } from './hold.js'
import { icon } from './icons.js'
import { Schedule } from './load/schedule.js'
import { SeenSession } from './load/seen.js'
import { strings } from './strings.js'
import { Timeline } from './view/timeline.js'

const SPEEDS = [1, 2, 4, 8, 16]

// Milliseconds between two drawings while it plays, and the most that a late one catches up on.
const STEP = 50
const MAX_STEP = 500

// Milliseconds of play that an arrow key goes.
const JUMPS = { ArrowRight: 5000, ArrowUp: 5000, ArrowLeft: -5000, ArrowDown: -5000 }

// Milliseconds after which a time that was chosen stands in the address: browsers take no more than a few in a second.
const NOTE_AFTER = 300

// Milliseconds in which the page scrolls because of what a reader did.
const TOUCH = 1000

export class Playback {
  #schedule
  #seen
  #marks = []
  // In the session's time, and in that of the play.
  #time = 0
  #played = 0
  #isPlaying = false
  #speed = SPEEDS[0]
  #last
  #sought
  #noting
  #filling
  #follows = true
  #scrolled = 0
  #touched = -Infinity

  /**
   * `turns` are those of the session; `shown` is the element in whose place its past is shown. `note` puts a place into
   * the address, of which `address` makes a link. `leave` is called by the button that closes the room, and `left` when
   * it is.
   */
  constructor({ session, turns, shown, link, note, address, leave, left }) {
    Object.assign(this, { session, turns, shown, link, note, left })
    this.root = el('div', { class: 'timeline' })
    this.button = iconButton(strings.play, 'play', () => this.toggle())
    this.lane = el('div', { class: 'lane', 'aria-hidden': 'true', onclick: ({ target }) => this.#visit(target) })
    this.scrubber = el('input', {
      ...{ type: 'range', min: '0', step: 'any', 'aria-label': strings.playTime },
      oninput: () => this.#seekSoon(Number(this.scrubber.value)),
      onkeydown: (event) => this.#jump(event),
    })
    this.clock = el('span', { class: 'player-clock' })
    this.what = el('span', { class: 'player-what', dir: 'auto' })
    const speed = el(
      'select',
      { 'aria-label': strings.speed, onchange: () => (this.#speed = Number(speed.value)) },
      SPEEDS.map((times) => el('option', { value: String(times) }, `${times}×`)),
    )
    this.bar = el(
      'section',
      { class: 'player', 'aria-label': strings.playback, hidden: true },
      el('div', { class: 'player-track' }, this.lane, this.scrubber),
      this.button,
      this.clock,
      this.what,
      speed,
      copyButton(strings, () => address(this.#place), strings.copyMoment),
      iconButton(strings.close, 'close', leave),
    )
    // What is drawn when it comes into view is of another height then.
    new ResizeObserver(() => this.#toEnd()).observe(this.root)
    addEventListener('scroll', () => this.isOpen && this.#scroll(), { passive: true })
    for (const name of ['wheel', 'touchmove', 'keydown', 'pointerdown'])
      addEventListener(
        name,
        ({ target }) => {
          if (!this.bar.contains(target)) this.#touched = performance.now()
        },
        { passive: true },
      )
  }

  get isOpen() {
    return this.#schedule !== undefined
  }

  /** The time that is shown, in milliseconds since 1970; nothing when none is. */
  get now() {
    return this.#schedule?.begin && this.#schedule.begin + this.#time
  }

  get #place() {
    return { room: 'playback', time: this.#time }
  }

  /** Shows the room, at a time in milliseconds since the session's beginning. */
  open({ time }) {
    if (!this.isOpen) this.#begin()
    this.#pause()
    this.#seek(time)
  }

  /** Goes back to how the session is now. */
  close() {
    this.#pause()
    clearTimeout(this.#noting)
    this.timeline.end()
    this.#schedule = this.#seen = this.timeline = this.#sought = undefined
    this.bar.hidden = true
    this.root.replaceWith(this.shown)
    this.root.replaceChildren()
    this.left()
  }

  toggle() {
    if (this.#isPlaying) {
      this.#pause()
      this.#noteSoon()
    } else this.start()
  }

  /** Plays on; from the beginning when it has come to the end. */
  start() {
    if (this.#played >= this.#schedule.length) this.#seek(0)
    this.#isPlaying = true
    this.#last = performance.now()
    this.#label()
    requestAnimationFrame((now) => this.#step(now))
  }

  /** Goes to the next prompt, or to the one before; or to what failed. */
  step(by, isError = false) {
    const times = this.#marks.filter((mark) => Boolean(mark.isError) === isError).map(({ time }) => time)
    const time = by > 0 ? times.find((time) => time > this.#time) : times.findLast((time) => time < this.#time)
    if (time !== undefined) this.#choose(time)
  }

  #begin() {
    this.#schedule = new Schedule(this.session)
    this.#seen = new SeenSession(this.session, this.#schedule)
    this.timeline = new Timeline(this.root, this.#seen, this.link)
    this.#scrolled = scrollY
    this.#marks = this.#schedule.marks(this.turns.all)
    this.scrubber.max = String(this.#schedule.length)
    this.lane.replaceChildren(...this.#marks.map((mark, at) => this.#mark(mark, at)))
    this.shown.replaceWith(this.root)
    this.bar.hidden = false
    this.button.focus({ preventScroll: true })
  }

  #mark({ time, turn, isError }, at) {
    const { outcome, files } = turn.sum
    const title = `${turn.number}. ${turn.label}${isError ? ` · ${strings.failed}` : ''}`
    const node = el('i', { title, dataset: { mark: String(at), outcome: isError ? 'failed' : outcome } })
    node.classList.toggle('failure', Boolean(isError))
    node.toggleAttribute('data-edits', files.length > 0)
    node.style.left = `${(100 * this.#schedule.playedAt(time)) / (this.#schedule.length || 1)}%`
    return node
  }

  #visit({ dataset: { mark } }) {
    if (mark) this.#choose(this.#marks[mark].time)
  }

  #step(now) {
    if (!this.#isPlaying) return
    const passed = now - this.#last
    if (passed >= STEP) {
      this.#last = now
      const played = this.#played + Math.min(passed, MAX_STEP) * this.#speed
      this.#show(this.#schedule.timeAt(played), Math.min(played, this.#schedule.length))
      if (this.#played >= this.#schedule.length) return this.toggle()
    }
    requestAnimationFrame((now) => this.#step(now))
  }

  #pause() {
    this.#isPlaying = false
    this.#label()
  }

  #label() {
    const [label, name] = this.#isPlaying ? [strings.pause, 'pause'] : [strings.play, 'play']
    this.button.title = label
    this.button.setAttribute('aria-label', label)
    this.button.replaceChildren(icon(name))
  }

  #jump(event) {
    const by = JUMPS[event.key]
    if (by === undefined) return
    event.preventDefault()
    this.#choose(this.#schedule.timeAt(this.#played + by))
  }

  /** A scrubber says where it is more often than the screen shows it. */
  #seekSoon(played) {
    if (this.#sought === undefined)
      requestAnimationFrame(() => {
        const sought = this.#sought
        this.#sought = undefined
        if (sought !== undefined) this.#choose(this.#schedule.timeAt(sought))
      })
    this.#sought = played
  }

  /** Goes to a time that the reader has chosen. */
  #choose(time) {
    this.#seek(time)
    this.#noteSoon()
  }

  #seek(to) {
    const time = Math.min(to, this.#schedule.span)
    this.#follows = true
    this.#show(time, this.#schedule.playedAt(time))
    this.#toEnd()
  }

  #show(time, played) {
    this.#time = time
    this.#played = played
    const changed = this.#seen.seek(time)
    if (changed.size) this.timeline.update(changed)
    if (this.#filling === undefined) this.#fill()
    const { span } = this.#schedule
    const turn = this.#marks.findLast((mark) => !mark.isError && mark.time <= time)?.turn
    const label = turn ? `${turn.number}. ${turn.label}` : ''
    this.scrubber.value = String(played)
    this.scrubber.setAttribute('aria-valuetext', strings.playedOf(duration(time), duration(span), label))
    this.clock.textContent = `${clock(time)} / ${clock(span)}`
    this.what.textContent = label
  }

  /** Draws what a far way has left out, a little at each frame. */
  #fill() {
    this.#filling = undefined
    if (!this.#seen?.fill()) return
    this.timeline.update(new Set())
    this.#filling = requestAnimationFrame(() => this.#fill())
  }

  #noteSoon() {
    clearTimeout(this.#noting)
    this.#noting = setTimeout(() => this.note(this.#place), NOTE_AFTER)
  }

  #toEnd() {
    if (this.isOpen && this.#follows) toEnd()
  }

  /** Who scrolls up stays there; who scrolls to the end sees what comes. What is drawn above scrolls the page too. */
  #scroll() {
    const isUp = scrollY < this.#scrolled && performance.now() - this.#touched < TOUCH
    if (isAtEnd()) this.#follows = true
    else if (isUp) this.#follows = false
    this.#scrolled = scrollY
  }
}
