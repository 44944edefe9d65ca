// The page put together: the session, its connection, and the rooms in which it is looked at.

import { fragmentOf, keyOf, ownerOf, readFragment } from './address.js'
import { Bell } from './bell.js'
import { tick } from './clock.js'
import { copyButton, el, guarded, iconButton, inSlices, onScrolled } from './dom.js'
import { Environment } from './environment.js'
import { downloadHtml } from './export.js'
import { Follow } from './follow.js'
import { exactTime } from './format.js'
import { Head } from './head.js'
import { goTo } from './hold.js'
import { icon } from './icons.js'
import { listen, showHelp } from './keyboard.js'
import { ask, isSummary, send } from './load/answers.js'
import { Changes } from './load/changes.js'
import { Connection } from './load/connection.js'
import { Session } from './load/session.js'
import { foldAll, viewMenu } from './menus.js'
import { Outline } from './outline.js'
import { placeOf } from './place.js'
import { Playback } from './playback.js'
import { Review, sumOf } from './review.js'
import { Rooms } from './rooms.js'
import { Search, reveal } from './search.js'
import { set, settings, show } from './settings.js'
import { Status } from './status.js'
import { Share } from './share.js'
import { strings } from './strings.js'
import { moment } from './values.js'
import { Timeline } from './view/timeline.js'
import { giveWay, putAround } from './written.js'

const { id, base, isEmbedded } = placeOf(location.href)
document.documentElement.toggleAttribute('data-embedded', isEmbedded)
const session = new Session()
const environment = new Environment()
const url = `${base}api/share/${id}`

// The key of a link stays in the address, and decides: with one only what it opens counts.
const key = keyOf(location.hash)
const opener = key === undefined ? undefined : await openerBy(key)
async function openerBy(key) {
  const { Opener } = await import('./load/opener.js')
  return new Opener(id, key, environment)
}

show()
const nodes = {
  state: el('span', { class: 'state', role: 'status' }),
  activity: el('span', { class: 'activity', dir: 'auto', hidden: true }),
  viewers: el('span', { class: 'viewers' }),
  errors: el('button', { class: 'errors bad', type: 'button', title: strings.nextError, hidden: true }),
  title: el('span', { class: 'top-title', dir: 'auto' }),
  search: el('div', { class: 'search', role: 'search', hidden: true }),
  rail: el('div', { class: 'rail', 'aria-hidden': 'true', hidden: true }),
  outline: el('nav', { class: 'outline', 'aria-label': strings.outline }),
  doubts: el('div', { class: 'doubts', role: 'alert', hidden: true }),
  band: el('p', { class: 'band', role: 'status', hidden: true }),
  head: el('div', { class: 'head' }),
  gate: el('section', { class: 'gate', hidden: true }),
  notice: el('div', { class: 'empty', hidden: true }),
  timeline: el('div', { class: 'timeline' }),
  review: el('div', { class: 'review', hidden: true }),
  live: el('div', { class: 'visually-hidden', 'aria-live': 'polite' }),
}

const link = (place) => fragmentOf(place, location.hash)
const timeline = new Timeline(nodes.timeline, session, link)
const { turns } = timeline
const changes = new Changes(session, turns)
const outline = new Outline(nodes.outline, { session, turns, link, find: (id) => timeline.find(id) })
const search = new Search(nodes.search, { timeline, turns, noted: (place) => note(place) })
const follow = new Follow(nodes.live)
const bell = new Bell()
const status = new Status(session, turns, nodes.state, nodes.activity, (does) =>
  bell.ring(strings.told[does], head.title),
)
const head = new Head(nodes.head, { session, turns, link, topTitle: nodes.title, rail: nodes.rail })
outline.onHere = (id) => head.at(id)
const review = new Review(nodes.review, { changes, link, share: id })
const playback = new Playback({
  ...{ session, turns, link },
  shown: nodes.timeline,
  note: (place) => history.replaceState(null, '', link(place)),
  address: (place) => share.addressOf(place),
  leave: () => rooms.visit({}),
  left: () => update(),
})
const rooms = new Rooms({ review, playback, link })
// A session is played back when all of it is there.
let isWhole = false
const share = new Share({
  ...{ base, id, isEmbedded, link },
  here: () => turns.get(outline.here) ?? turns.all[0],
  html: () => downloadHtml(session, timeline),
  own: opener && {
    markdown: async (turn) => (await import('./take-along.js')).markdown(session, turn ? [turn] : turns.all),
    json: async () => (await import('./take-along.js')).json(opener.items),
  },
})
timeline.openTurn = (turn) => share.openTurn(turn)

/** Plays the session back from its beginning; who wants nothing to move begins it. */
function play() {
  if (!isWhole || session.empty) return
  rooms.visit({ room: 'playback', time: 0 })
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) playback.start()
}
const playItem = el('button', { type: 'button', onclick: play }, strings.playBack)

const skip = () => (nodes.review.hidden ? shownNow().root.querySelector('.turn') : review.heading)?.focus()

putAround(
  el('button', { class: 'skip', type: 'button', onclick: skip }, strings.skip),
  el(
    'header',
    { class: 'top' },
    iconButton(strings.outline, 'list', () => outline.toggle(), 'only-narrow'),
    nodes.state,
    nodes.activity,
    nodes.title,
    nodes.errors,
    nodes.viewers,
    rooms.tabs,
    el(
      'span',
      { class: 'tools' },
      bell.button,
      iconButton(strings.search, 'search', () => openSearch()),
      viewMenu(timeline, playItem),
      share.menu,
      share.whole,
      el('button', { class: 'icon help-button', type: 'button', 'aria-label': strings.help, onclick: showHelp }, '?'),
    ),
    nodes.search,
    nodes.rail,
  ),
  nodes.doubts,
  nodes.band,
  outline.scrim,
  nodes.outline,
  el('main', { id: 'app' }, nodes.gate, nodes.head, nodes.notice, nodes.timeline, nodes.review),
  follow.pill,
  follow.beginning,
  share.bubble,
  playback.bar,
  nodes.live,
)

// What changed is gathered until the next frame of the screen: many small syncs cost one update. While a session is
// loaded, what comes behind its beginning is gathered for longer: a frame after each page of items costs more than the
// page.
const LOADED_EVERY = 150
let pending
function changed({ all, messages, added }) {
  // What comes before the page is live was said before.
  if (status.isLive) {
    status.lastWord = Date.now()
    if (document.hidden) status.unseen += added
  }
  if (!pending) {
    pending = { all: false, messages: new Set(), added: 0 }
    if (isFirst || status.isLive) requestAnimationFrame(update)
    else setTimeout(update, LOADED_EVERY)
    // A page in the background gets no frames, and should still be current when it is looked at.
    if (document.hidden) setTimeout(update, 250)
  }
  pending.all ||= all
  pending.added += status.isLive ? added : 0
  for (const message of messages) pending.messages.add(message)
}

let isFirst = true
function update() {
  // What comes while the past is seen waits until the present is.
  if (!pending || playback.isOpen) return
  const { all, messages, added } = pending
  pending = undefined
  const bringUp = () => timeline.update(all ? undefined : messages)
  if (rooms.isSession) follow.around(added, status.isLive, bringUp)
  else bringUp()
  guarded(() => outline.update())
  notice()
  sumUp()
  if (isFirst && nodes.timeline.firstChild) {
    isFirst = false
    giveWay((id) => timeline.find(id))
    go()
  }
}

// What is counted over all turns is counted behind what is seen first, and not at every frame.
const SUM_EVERY = 200
let isSumming = false
let isSumDue = false
function sumUp() {
  isSumDue = true
  if (isSumming) return
  isSumming = true
  setTimeout(async () => {
    isSumDue = false
    await inSlices(turns.all, ({ sum }) => sum)
    files = guarded(() => sumOf(changes.read().files))
    for (const part of [outline, review]) guarded(() => part.update(true))
    guarded(() => head.update(ends, files))
    status.title = shutWords()?.title ?? head.title
    guarded(about)
    guarded(countErrors)
    rooms.count = files?.count
    setTimeout(() => {
      isSumming = false
      if (isSumDue) sumUp()
    }, SUM_EVERY)
  })
}

const waiting = [el('strong', {}, strings.waiting), el('br'), strings.waitingHint]
nodes.notice.append(...waiting)
function notice() {
  playItem.hidden = !isWhole || session.empty
  const shut = strings.shut[status.state]
  nodes.notice.hidden = !(shut || (session.empty && status.isLive))
  if (shut && nodes.notice.firstChild === waiting[0]) nodes.notice.replaceChildren(...whyShut(shut))
  document.body.classList.toggle('shut', Boolean(shutWords()))
  document.body.classList.toggle('locked', status.state === 'locked')
}

/** What is said where nothing of the session is here. */
const shutWords = () =>
  strings.shut[status.state] ??
  (session.empty && status.state === 'locked' ? strings[opener ? 'phrase' : 'password'] : undefined)

function whyShut({ title, hint, command }) {
  const link = () => share.addressOf({})
  return [
    el('h1', {}, title),
    el('p', {}, hint),
    command && el('div', { class: 'import' }, el('code', {}, command), copyButton(strings, link, strings.copyShare)),
  ].filter(Boolean)
}

/** What the server did that an honest one does not. */
function tellDoubts({ plain, changed, older, less }) {
  const { doubts } = strings
  const told = [
    plain && doubts.plain,
    changed && doubts.changed,
    older && doubts.older,
    less && doubts.less(less.at && exactTime(less.at)),
  ].filter(Boolean)
  nodes.doubts.hidden = !told.length
  if (nodes.doubts.textContent !== told.join(''))
    nodes.doubts.replaceChildren(...told.map((words) => el('p', {}, words)))
}
opener?.addEventListener('doubts', ({ detail }) => tellDoubts(detail))

let ends
let isProtected = false
let files
function about() {
  const { state } = status
  notice()
  // Wherever a reader is: what is shown is all that there is any more.
  const isOver = state === 'deleted' || state === 'expired'
  nodes.band.hidden = !isOver
  if (isOver && !nodes.band.firstChild)
    nodes.band.append(
      strings[`${state}Hint`],
      ' ',
      el('button', { type: 'button', onclick: () => downloadHtml(session, timeline) }, strings.saveSeen),
    )
  document.body.classList.toggle('over', isOver)
  if (isOver) ends = undefined
  if (state !== 'live') nodes.viewers.textContent = ''
  status.update()
}

setInterval(() => {
  status.update()
  tick((node, since) => !playback.isOpen && status.isLeft(node, since), playback.now)
}, 1000)

function openSearch() {
  // What it finds is in the session.
  if (!rooms.isSession) rooms.toggle()
  search.open()
}

nodes.errors.addEventListener('click', () => toError(1))
function countErrors() {
  const { errors } = turns.totals
  nodes.errors.hidden = !errors
  nodes.errors.replaceChildren(icon('error'), el('span', {}, strings.errors(errors)))
}

/** Goes to the next part that failed, or to the one before; from the last to the first. */
let error
function toError(by) {
  const { errors } = turns
  if (!errors.length) return
  const known = errors.indexOf(error)
  const tops = known < 0 && errors.map((id) => timeline.topOf(id))
  const near = by > 0 ? tops && tops.findIndex((top) => top > 100) : tops && tops.findLastIndex((top) => top < 50)
  const at = known < 0 ? (near < 0 ? (by > 0 ? 0 : errors.length - 1) : near) : known + by
  error = errors.at(at % errors.length)
  rooms.go({ id: error })
  point(error)
}

/** Goes to what the address names. */
function go() {
  const named = guarded(() => readFragment(location.hash)) ?? {}
  const place = named.room === 'playback' && (!isWhole || session.empty) ? {} : named
  rooms.go(place)
  if (place.id !== undefined) point(place.id)
  if (place.search !== undefined && nodes.search.hidden) search.open(place.search, place.options)
}

/** Puts what is sought into the address, so that it can be sent. */
function note(place) {
  const hasPlace = readFragment(location.hash).search !== undefined
  if (place || hasPlace) history.replaceState(null, '', link(place ?? {}))
}

// Milliseconds for which what a reader was shown last is marked.
const POINTED = 2500

let pointed
let unpointing
/** Shows a message or a part to the reader. */
function point(id) {
  const node = timeline.find(id)
  if (!node) return
  reveal(node)
  goTo(node)
  clearTimeout(unpointing)
  pointed?.classList.remove('pointed')
  pointed = node.querySelector('.prompt:not([hidden])') ?? node
  pointed.classList.add('pointed')
  unpointing = setTimeout(() => pointed.classList.remove('pointed'), POINTED)
}

/** The address is another. */
function moved() {
  // Of another key nothing here is.
  if (keyOf(location.hash) !== key) return location.reload()
  takeSecret()
  go()
}
addEventListener('hashchange', moved)
addEventListener('popstate', moved)
// Beside a key a browser knows no places: who goes where they were last goes there all the same.
if (key !== undefined)
  addEventListener('click', ({ target }) => {
    const { hash } = target.closest?.('a[href^="#"]') ?? {}
    if (hash && hash === location.hash) go()
  })

// Milliseconds in which a server answers an owner.
const PATIENCE = 30_000

// An owner's secret is held in memory alone: whoever is shown the address, or copies it, is no owner by it.
let owner
async function takeSecret() {
  const secret = ownerOf(location.hash)
  if (secret === undefined) return
  history.replaceState(null, '', fragmentOf(readFragment(location.hash), location.hash))
  if (isEmbedded) return
  const { Owner } = await import('./owner.js')
  owner?.button.remove()
  owner = new Owner({
    ...{ url, secret, isSealed: key !== undefined },
    share: () => ({ ends: ends && exactTime(ends), isProtected }),
    changed: async (password) => {
      // Who set it is let in by it.
      if (password && (await send(`${url}/open`, 'POST', { password }))?.ok) connection.unlock()
      const summary = await ask(environment.fetch, url, AbortSignal.timeout(PATIENCE), () => {}).catch(() => undefined)
      if (isSummary(summary)) summarised(summary)
    },
  })
  share.menu.after(owner.button)
}

onScrolled(() => document.body.classList.toggle('scrolled', scrollY > 120))

const shownNow = () => (rooms.isPlayback ? playback.timeline : timeline)

let foldAgain
addEventListener('beforeprint', () => {
  foldAgain = shownNow().unfold()
})
addEventListener('afterprint', () => foldAgain?.())

/** Where the past is shown, it is gone through by what is marked in it. */
const stepOr = (by, isError, step) => () => (rooms.isPlayback ? playback.step(by, isError) : step())

listen({
  j: stepOr(1, false, () => outline.step(1)),
  k: stepOr(-1, false, () => outline.step(-1)),
  '/': () => openSearch(),
  e: stepOr(1, true, () => toError(1)),
  E: stepOr(-1, true, () => toError(-1)),
  f: () => follow.toggle(),
  o: () => foldAll(shownNow(), !shownNow().root.querySelector('.part > details[open]')),
  c: () => rooms.toggle(),
  w: () => set('wide', !settings.wide),
  p: () => (rooms.isPlayback ? playback.toggle() : play()),
  '?': showHelp,
  Escape: () => rooms.isSession || rooms.toggle(),
})

/** Where the agent works, a reader begins at what it does now, unless they read on already. */
let isStart = true
function start() {
  isStart = false
  if (readFragment(location.hash).room === 'playback') go()
  if (Object.keys(readFragment(location.hash)).length || scrollY > 0 || status.does !== 'busy') return
  requestAnimationFrame(() => follow.begin())
}

const forgetWritten = () => giveWay(() => undefined)
// What a server wrote into the page was not opened by the key.
if (opener) forgetWritten()

let gate
async function askAtGate() {
  forgetWritten()
  const { Gate } = await import('./gate.js')
  gate ??= new Gate(nodes.gate, { url, opener, opened: () => connection.unlock() })
  // Meanwhile it may have been opened elsewhere.
  if (connection.state === 'locked') gate.ask()
}

const connection = new Connection(url, session, environment, {}, opener)
connection.addEventListener('change', ({ detail }) => changed(detail))
connection.addEventListener('viewers', ({ detail }) => {
  nodes.viewers.textContent = status.isLive ? strings.viewers(detail) : ''
})
connection.addEventListener('state', ({ detail }) => {
  status.state = detail
  about()
  sumUp()
  if (detail === 'locked') askAtGate()
  else gate?.close()
  if (!status.isLive) return
  isWhole = true
  // What came before is drawn now, also when it is nothing.
  update()
  giveWay((id) => timeline.find(id))
  connection.refresh()
  if (isStart) start()
})
function summarised(summary) {
  isProtected = summary.protected === true
  if (isProtected) share.importByLink()
  ends = moment(summary.expiresAt)
  status.lastWord = Math.max(status.lastWord ?? 0, moment(summary.updatedAt) ?? 0)
  sumUp()
}
connection.addEventListener('summary', ({ detail }) => summarised(detail))
// A sync may put the end off.
const REFRESH_EVERY = 5 * 60_000
setInterval(() => document.hidden || connection.refresh(), REFRESH_EVERY)
takeSecret()
connection.start()
