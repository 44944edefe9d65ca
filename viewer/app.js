// The page put together: the session, its connection, and the views of it.

import { showChanges } from './changes.js'
import { arrange, copyButton, el, foldsWithin, guarded } from './dom.js'
import { Environment } from './environment.js'
import { downloadHtml } from './export.js'
import { cost, duration, exactTime, relativeTime, short, timeAgo } from './format.js'
import { Follow } from './follow.js'
import { listen, showHelp } from './keyboard.js'
import { Connection } from './load/connection.js'
import { Session } from './load/session.js'
import { Outline } from './outline.js'
import { placeOf } from './place.js'
import { Search, reveal } from './search.js'
import { set, settings, show, sideBySide, toggle } from './settings.js'
import { strings } from './strings.js'
import { moment, record, text } from './values.js'
import { Timeline, time } from './view/timeline.js'
import { giveWay, putAround } from './written.js'

const { id, base } = placeOf(location.href)
const session = new Session()
// OpenCode takes a link to the share's own address, not to this page's.
const importCommand = `opencode import ${base}share/${id}`

show()
const icon = (label, text, action) =>
  el('button', { class: 'icon', type: 'button', 'aria-label': label, title: label, onclick: action }, text)

const stateNode = el('span', { class: 'state', role: 'status' })
const activityNode = el('span', { class: 'activity', dir: 'auto', hidden: true })
const viewersNode = el('span', { class: 'viewers' })
const titleNode = el('h1', { dir: 'auto' }, strings.untitled)
const factsNode = el('div', { class: 'facts' })
const searchNode = el('div', { class: 'search', role: 'search', hidden: true })
const outlineNode = el('nav', { class: 'outline', 'aria-label': strings.outline })
const timelineNode = el('div', { class: 'timeline' })
const noticeNode = el('p', { class: 'empty', hidden: true })
const progressNode = el('div', { class: 'progress', 'aria-hidden': 'true' })
const liveNode = el('div', { class: 'visually-hidden', 'aria-live': 'polite' })

const timeline = new Timeline(timelineNode, session)
const outline = new Outline(outlineNode)
const search = new Search(searchNode, timeline)
const follow = new Follow(liveNode)
const changes = () => showChanges(session)

putAround(
  el(
    'header',
    { class: 'top' },
    el(
      'button',
      {
        class: 'icon only-narrow',
        type: 'button',
        'aria-label': strings.outline,
        title: strings.outline,
        onclick: () => document.body.classList.toggle('outline-open'),
      },
      '☰',
    ),
    stateNode,
    activityNode,
    el('span', { class: 'top-title', dir: 'auto' }),
    viewersNode,
    el(
      'span',
      { class: 'tools' },
      icon(strings.search, '⌕', () => search.open()),
      el('button', { class: 'plain-button', type: 'button', onclick: changes }, strings.changes),
      viewMenu(),
      downloadMenu(),
      icon(strings.help, '?', showHelp),
    ),
    searchNode,
    progressNode,
  ),
  outlineNode,
  el('main', { id: 'app' }, el('div', { class: 'head' }, titleNode, factsNode), noticeNode, timelineNode),
  follow.pill,
  liveNode,
)
const topTitle = document.querySelector('.top-title')

function menu(label, ...entries) {
  const details = el(
    'details',
    { class: 'menu' },
    el('summary', {}, label),
    el('div', { class: 'menu-body' }, ...entries),
  )
  addEventListener('click', ({ target }) => {
    if (!details.contains(target)) details.open = false
  })
  details.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') details.open = false
  })
  return details
}

function viewMenu() {
  const box = (label, checked, action) => {
    const input = el('input', { type: 'checkbox', checked, onchange: action })
    return el('label', {}, input, label)
  }
  const kinds = [
    ['prompt', strings.kinds.prompts],
    ['text', strings.kinds.answers],
    ['reasoning', strings.kinds.reasoning],
    ['tool', strings.kinds.tools],
    ['edit', strings.kinds.edits],
  ]
  const folding = kinds.filter(([kind]) => kind === 'reasoning' || kind === 'tool')
  return menu(
    strings.view,
    el('button', { class: 'only-narrow', type: 'button', onclick: changes }, strings.changes),
    el('h3', {}, strings.show),
    kinds.map(([kind, label]) => box(label, !settings.hidden.includes(kind), () => toggle('hidden', kind))),
    el('hr'),
    folding.map(([kind, label]) =>
      box(strings.openAlways(label.toLowerCase()), settings.open.includes(kind), ({ target }) => {
        toggle('open', kind)
        foldAll(target.checked, `.part-${kind} > details`)
      }),
    ),
    box(strings.sideBySide, sideBySide(), ({ target }) => {
      set('sideBySide', target.checked)
      for (const node of document.querySelectorAll('.diff-box')) node.dispatchEvent(new Event('redraw'))
    }),
    el('hr'),
    el('button', { type: 'button', onclick: () => foldAll(true) }, strings.expandAll),
    el('button', { type: 'button', onclick: () => foldAll(false) }, strings.collapseAll),
    el('button', { type: 'button', onclick: theme }, strings.theme),
  )
}

function downloadMenu() {
  return menu(
    strings.download,
    el('a', { href: `${base}s/${id}.md`, download: '' }, strings.downloadMarkdown),
    el('a', { href: `${base}s/${id}.json`, download: '' }, strings.downloadJson),
    el('button', { type: 'button', onclick: () => downloadHtml(session, timeline) }, strings.downloadHtml),
    el('hr'),
    el('h3', {}, strings.importInto),
    el('div', { class: 'import' }, el('code', {}, importCommand), copyButton(strings, importCommand)),
  )
}

function theme() {
  const dark = settings.theme ? settings.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  set('theme', dark ? 'light' : 'dark')
}

function foldAll(open, which = '.part > details') {
  for (const details of foldsWithin(timelineNode, which)) {
    if (open) details.make?.()
    details.open = open
  }
}

// What changed is gathered until the next frame of the screen: many small syncs cost one update.
let pending
function changed({ all, messages, added, info }) {
  // What comes before the page is live was said before.
  if (live) lastWord = Date.now()
  if (!pending) {
    pending = { all: false, messages: new Set(), added: 0 }
    requestAnimationFrame(update)
    // A page in the background gets no frames, and should still be current when it is looked at.
    if (document.hidden) setTimeout(update, 250)
  }
  pending.all ||= all || info
  pending.added += live ? added : 0
  for (const message of messages) pending.messages.add(message)
}

let first = true
function update() {
  if (!pending) return
  const { all, messages, added } = pending
  pending = undefined
  follow.around(added, live, () => timeline.update(all ? undefined : messages))
  guarded(() => outline.update(session))
  guarded(about)
  if (first && timelineNode.firstChild) {
    first = false
    giveWay()
    toHash()
  }
}

// Characters of a title that are shown.
const MAX_TITLE = 1000

let live = false
let ends
let state = 'loading'
function about() {
  const title = text(session.info?.title).slice(0, MAX_TITLE).toWellFormed() || strings.untitled
  if (titleNode.textContent !== title) {
    titleNode.textContent = title
    topTitle.textContent = title
    document.title = title
  }
  const { started, ended, tokens, cost: spent } = session.totals()
  const models = [
    ...new Set(
      session
        .ordered()
        .map(({ info }) => info.modelID)
        .filter(Boolean),
    ),
  ]
  const names = models.map((model) => text(session.models.find(({ id }) => id === model)?.name ?? model))
  const undone = session.undone()
  const directory = text(session.info?.directory ?? record(session.info?.location).directory)
  arrange(
    factsNode,
    [
      directory && el('span', { class: 'path', dir: 'auto' }, directory),
      session.agent && el('span', { dir: 'auto' }, session.agent.slice(0, MAX_TITLE)),
      names.length && el('span', { dir: 'auto' }, names.join(', ')),
      started && time(started),
      started && ended > started && el('span', {}, duration(ended - started)),
      tokens && el('span', {}, strings.tokens(short(tokens))),
      spent && el('span', {}, cost(spent)),
      undone && el('span', {}, strings.reverted(undone)),
      ends && el('span', {}, `${strings.ends} `, time(ends, true)),
    ].filter(Boolean),
  )
  noticeNode.hidden = !(session.empty && state === 'live') && state !== 'deleted' && state !== 'expired'
  if (state === 'deleted' || state === 'expired') noticeNode.replaceChildren(strings[`${state}Hint`])
  else noticeNode.replaceChildren(el('strong', {}, strings.waiting), el('br'), strings.waitingHint)
  status()
}

// Characters of an agent's own words.
const MAX_LABEL = 80

// When something of the session last changed, in milliseconds since 1970.
let lastWord

// A session that nothing was added to for this long is said to rest.
const RESTS = 2 * 60_000
// What was under way when a session came to rest for so long did not come to its end.
const UNFINISHED = 60 * 60_000
function status() {
  stateNode.dataset.state = state
  const { ended } = session.totals()
  const rests = state === 'live' && ended && Date.now() - ended > RESTS
  const text = rests ? strings.ended(timeAgo(ended)) : strings.state[state]
  if (stateNode.textContent !== text) stateNode.textContent = text
  stateNode.title = ended ? exactTime(ended) : ''
  activity()
}

/** What the agent does, for as long as it can be known: of a page that is not live nobody does. */
function activity() {
  const { state: does, label, at } = session.activity ?? {}
  // Of an agent that says nothing itself only that an answer is awaited is worth a word.
  activityNode.hidden = state !== 'live' || !does || (does === 'idle' && !at)
  if (activityNode.hidden) return
  activityNode.dataset.activity = does
  const silence = does === 'busy' && lastWord ? Date.now() - lastWord : 0
  const words = [label.slice(0, MAX_LABEL).toWellFormed() || strings.activity[does]]
  if (silence > RESTS) words.push(strings.silent(duration(silence)))
  const said = words.join(', ')
  if (activityNode.textContent !== said) activityNode.textContent = said
  activityNode.title = at ? exactTime(at) : ''
}

setInterval(() => {
  status()
  const now = Date.now()
  const { ended } = session.totals()
  for (const node of document.querySelectorAll('time[data-ms]')) {
    const { ms, ahead } = node.dataset
    node.textContent = (ahead === undefined ? timeAgo : relativeTime)(Number(ms))
  }
  const { state: does, at } = session.activity ?? {}
  // Where the agent says itself that it rests or has ended, nothing is under way.
  const rests = at && (does === 'idle' || does === 'gone')
  for (const node of document.querySelectorAll('.busy[data-since]')) {
    const since = Number(node.dataset.since)
    // Some agents do not say since when: then their last word counts, once that is known.
    const silent = lastWord && now - Math.max(since, ended ?? 0, lastWord) > UNFINISHED
    const isLeft = rests || node.closest('[data-over]') || silent
    if (isLeft) node.textContent = strings.unfinished
    else if (since) node.textContent = `${strings.running} ${duration(now - since)}`
  }
}, 1000)

/** Goes to the part that the address names. */
function toHash() {
  const name = guarded(() => decodeURIComponent(location.hash.slice(1)))
  const node = name && timeline.find(name)
  if (!node) return
  reveal(node)
  node.scrollIntoView({ block: 'start' })
  const mark = node.querySelector('.prompt:not([hidden])') ?? node
  mark.classList.add('pointed')
  setTimeout(() => mark.classList.remove('pointed'), 2500)
}
addEventListener('hashchange', toHash)

outlineNode.addEventListener('click', ({ target }) => {
  if (target.closest('a')) document.body.classList.remove('outline-open')
})

addEventListener(
  'scroll',
  () => {
    const whole = document.documentElement.scrollHeight - innerHeight
    progressNode.style.transform = `scaleX(${whole > 0 ? scrollY / whole : 0})`
    document.body.classList.toggle('scrolled', scrollY > 120)
  },
  { passive: true },
)

let foldAgain
addEventListener('beforeprint', () => {
  foldAgain = timeline.unfold()
})
addEventListener('afterprint', () => foldAgain?.())

listen({
  j: () => outline.step(1),
  k: () => outline.step(-1),
  '/': () => search.open(),
  f: () => follow.toggle(),
  o: () => foldAll(!timelineNode.querySelector('.part > details[open]')),
  c: changes,
  '?': showHelp,
})

const connection = new Connection(`${base}api/share/${id}`, session, new Environment())
connection.addEventListener('change', ({ detail }) => changed(detail))
connection.addEventListener('viewers', ({ detail }) => {
  viewersNode.textContent = strings.viewers(detail)
})
connection.addEventListener('state', ({ detail }) => {
  state = detail
  live = state === 'live'
  about()
  if (!live) return
  // What came before is drawn now, also when it is nothing.
  update()
  giveWay()
  connection.refresh()
})
connection.addEventListener('summary', ({ detail }) => {
  ends = moment(detail.expiresAt)
  lastWord = Math.max(lastWord ?? 0, moment(detail.updatedAt) ?? 0)
  about()
})
// A sync may put the end off.
const REFRESH_EVERY = 5 * 60_000
setInterval(() => document.hidden || connection.refresh(), REFRESH_EVERY)
connection.start()
