// When a session was seen, and what of it: at its end all, at no time what came later, and never less than before.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { Schedule } from '../../viewer/load/schedule.js'
import { SeenSession } from '../../viewer/load/seen.js'
import { Session } from '../../viewer/load/session.js'
import { Turns } from '../../viewer/load/turns.js'
import { session as sessionItem } from '../lib/items.mjs'
import { largeSession } from '../lib/large.mjs'
import { sessionOf } from '../lib/session.mjs'

const NOON = 1_800_000_000_000

let ids = 0
/** A message and its parts; `created` in seconds from noon, or none. */
function message(role, created, parts, { completed, ...info } = {}) {
  const id = `m${(ids += 1)}`
  const at = (seconds) => (seconds === undefined ? undefined : NOON + seconds * 1000)
  const time = { created: at(created), completed: at(completed) }
  return [
    { type: 'message', data: { id, role, time, ...info } },
    ...parts.map((part, nth) => ({ type: 'part', data: { id: `${id}p${nth}`, messageID: id, ...part } })),
  ]
}
const asks = (created, words = 'Do it') => message('user', created, [{ type: 'text', text: words }])
const answers = (created, completed, ...parts) => message('assistant', created, parts, { completed })
const span = (start, end) => ({ time: { start: NOON + start * 1000, end: NOON + end * 1000 } })
const says = (words, start, end) => ({ type: 'text', text: words, ...(start !== undefined && span(start, end)) })
const call = (start, end, state) => ({
  ...{ type: 'tool', tool: 'bash' },
  state: { status: 'completed', input: { command: 'make' }, output: 'made', ...span(start, end), ...state },
})

/** A session of items, and how it is seen. */
function played(...items) {
  const session = sessionOf(items.flat())
  const schedule = new Schedule(session)
  const seen = new SeenSession(session, schedule)
  /** The texts, calls and outcomes that are seen at a time, in seconds. */
  const at = (seconds) => {
    seen.seek(seconds * 1000)
    return seen
      .turns()
      .flatMap(({ prompt, answers }) =>
        [prompt ?? [], ...answers]
          .flat()
          .flatMap((message) =>
            seen.partsOf(message).map(({ text, state }) => text ?? `${state.status} ${state.output ?? ''}`.trim()),
          ),
      )
  }
  return { session, schedule, seen, at }
}

test('a prompt comes, an answer grows by words, a call runs and is done, and they end as they are', () => {
  const { session, schedule, seen, at } = played(
    asks(0, 'Make it'),
    answers(1, 20, says('one two three four', 2, 6), call(7, 17, { metadata: { exit: 0 } })),
  )
  assert.deepEqual([schedule.begin, schedule.span], [NOON, 20_000])
  assert.deepEqual(at(0), ['Make it'])
  assert.deepEqual(at(2), ['Make it', 'one'])
  assert.deepEqual(at(4), ['Make it', 'one two three'])
  assert.deepEqual(at(6.5), ['Make it', 'one two three four'])
  assert.deepEqual(at(16.9), ['Make it', 'one two three four', 'running'])
  assert.equal(seen.turns()[0].answers[0].info.time.completed, undefined)
  assert.deepEqual(at(17), ['Make it', 'one two three four', 'completed made'])
  at(20)
  assert.equal(seen.turns()[0].answers[0], session.ordered()[1])
})

test('what a turn came to is told at its end', () => {
  const [ask, ...words] = asks(0)
  ask.data.summary = { diffs: [{ file: 'a', patch: '@@', additions: 1, deletions: 0 }] }
  const failed = { ...says('no', 2, 3) }
  const answer = message('assistant', 1, [failed], { completed: 9, error: { name: 'APIError' }, cost: 1 })
  const { seen } = played([ask, ...words], answer)
  const turns = new Turns(seen)
  const sumAt = (seconds) => {
    turns.update(seen.seek(seconds * 1000))
    const { files, cost, outcome } = turns.all[0].sum
    return [files.length, cost, outcome]
  }
  assert.deepEqual(sumAt(8), [0, 0, 'running'])
  assert.deepEqual(sumAt(9), [1, 1, 'failed'])
  assert.deepEqual(sumAt(3), [0, 0, 'running'])
})

test('pauses are two seconds long, and what is written slowly is written faster', () => {
  const { schedule } = played(
    asks(0),
    answers(3600, 3610, says('word '.repeat(12), 3600, 3610)),
    asks(90_000),
    answers(90_001, 190_000, says('word '.repeat(12), 90_001, 190_000)),
  )
  const second = (seconds) => Math.round(schedule.playedAt(seconds * 1000))
  assert.deepEqual([second(0), second(3600)], [0, 2000])
  assert.equal(second(3610), 2000 + 2000 + 10 * 200)
  assert.equal(second(90_000) - second(3610), 2000)
  assert.ok(schedule.length < 15_000)
})

test('what has no time stands between its neighbours, and takes its part of what lies between them', () => {
  const { schedule, at } = played(
    asks(0),
    answers(10, 30, says('a '.repeat(900)), call(undefined, undefined, { time: {} }), says('z', 28, 30)),
  )
  const parts = schedule.entries.filter(({ part }) => part).map(({ start, end }) => [start / 1000, end / 1000])
  assert.deepEqual(parts, [
    [0, 0],
    [10, 19],
    [19, 21],
    [28, 30],
  ])
  assert.deepEqual(at(20).slice(2), ['running'])
})

test('where nothing has a time, one thing comes after the other', () => {
  const untimed = (role, ...parts) => message(role, undefined, parts, { time: undefined })
  const { schedule, at } = played(untimed('user', says('ask')), untimed('assistant', says('one'), says('two')))
  assert.equal(schedule.begin, undefined)
  assert.deepEqual([at(0), at(schedule.span / 1000)], [['ask'], ['ask', 'one', 'two']])
  assert.ok(schedule.entries.every(({ start, end }) => start >= 0 && end >= start))
})

test('a clock that goes back is one that was set, and a time that fits to nothing is none', () => {
  const behind = (ask, created, ...parts) =>
    message('assistant', created - 3600, parts, { completed: created - 3592, parentID: ask[0].data.id })
  const [one, two] = [asks(0), asks(60)]
  const back = played(
    ...[one, behind(one, 2, says('x', -3597, -3594)), two, behind(two, 62, says('y', -3537, -3534))],
  ).schedule
  assert.equal(back.span, 68_000, 'an answer begins with its prompt, and goes on as long as it did')
  for (const odd of [-1e9, 1e6]) {
    const { span } = played(asks(0), answers(1, 9, says('x', 2, 3), call(odd, odd + 1), says('y', 5, 6))).schedule
    assert.equal(span, 9000)
  }
})

test('marks stand where prompts came and where something had failed', () => {
  const { session, schedule } = played(
    asks(0),
    answers(1, 9, call(2, 4, { metadata: { exit: 1 } })),
    asks(20),
    message('assistant', 21, [], { completed: 25, error: { name: 'APIError' } }),
  )
  const turns = new Turns(session)
  turns.update()
  const marks = schedule.marks(turns.all).map(({ time, isError, turn }) => [time / 1000, isError === true, turn.number])
  assert.deepEqual(marks, [
    [0, false, 1],
    [4, true, 1],
    [20, false, 2],
    [25, true, 2],
  ])
})

test('nothing is an empty session', () => {
  const { schedule, at } = played()
  assert.deepEqual([schedule.span, schedule.length, at(0)], [0, 0, []])
})

// Sessions out of a seed: times that are there or not, in order or not; calls, thoughts, subagents, stray parts.

function random(seed) {
  let state = seed + 1
  return (below) => {
    state = (state * 48_271) % 2_147_483_647
    return state % below
  }
}

function anySession(seed) {
  const below = random(seed)
  let now = 0
  const later = () => (now += below(4) ? below(200) : below(20_000))
  const maybe = (value) => (below(4) ? value : undefined)
  const oddly = (seconds) => (below(9) ? seconds : seconds + (below(2) ? 1 : -1) * below(1e6))
  const part = (subagent) => {
    const start = maybe(oddly(later()))
    const time = { start: start && NOON + start * 1000, end: maybe(NOON + oddly(later()) * 1000) }
    const words = 'some words that are said '.repeat(below(20))
    return [
      () => ({ type: 'text', text: words, time }),
      () => ({ type: 'reasoning', text: words, time }),
      () => ({
        ...{ type: 'tool', tool: ['bash', 'task', 'read'][below(3)] },
        state: {
          status: ['completed', 'error', 'running'][below(3)],
          ...{ input: { command: 'x' }, output: 'y', time },
          metadata: subagent ? { sessionId: subagent } : { exit: below(2) },
        },
      }),
      () => ({ type: 'file', mime: 'text/plain', url: 'data:,x' }),
    ][below(4)]()
  }
  const items = []
  const home = { sessionID: 'ses_1' }
  for (let turn = 0; turn <= below(5); turn += 1) {
    items.push(...message('user', maybe(oddly(later())), [says('ask')], home))
    for (let answer = 0; answer < below(4); answer += 1) {
      const subagent = below(3) ? undefined : `sub${items.length}`
      const parts = Array.from({ length: below(5) }, (_, nth) => part(nth === 1 ? subagent : undefined))
      const created = maybe(oddly(later()))
      items.push(...message('assistant', created, parts, { completed: maybe(oddly(later())), ...home }))
      if (subagent) {
        items.push(...message('user', maybe(later()), [says('sub')], { sessionID: subagent }))
        items.push(...message('assistant', maybe(later()), [part(), part()], { sessionID: subagent }))
      }
    }
  }
  if (!below(3)) items.push({ type: 'part', data: { id: 'stray', messageID: 'gone', ...part() } })
  return items
}

/** All that is asked of a session by who shows it. */
function told(session) {
  const of = (subagent) =>
    session.turns(subagent).map(({ id, prompt, answers }) => ({
      id,
      messages: [prompt ?? [], ...answers].flat().map((message) => ({
        info: message.info,
        parts: session.partsOf(message).map((part) => {
          const inner = session.subagentOf(message, part)
          return { part, inner: inner && [of(inner), session.isOver(inner), session.stepsOf(inner).length] }
        }),
        unlinked: session.unlinkedAt(message).map((inner) => [of(inner), session.isOver(inner)]),
        all: session.withSubagents([message]).map(({ id }) => id),
      })),
    }))
  return of()
}

const isBefore = (before, after) =>
  before.every(([id, text]) => {
    const now = after.get(id)
    return now !== undefined && now.startsWith(text)
  })

const seeds = Array.from({ length: Number(process.env.BRUTUS_SEEDS ?? 60) }, (_, seed) => seed)

test('any session: at its end it is all there, it only grows, and back is as it was', () => {
  for (const seed of seeds) {
    const { session, schedule, seen } = played(sessionItem(), anySession(seed))
    const { entries, span: end, length } = schedule
    assert.ok(entries.every(({ start, end }) => start >= 0 && end >= start && end <= schedule.span))
    // What is there, with so much of its text as there is.
    const there = () => {
      const all = [
        ...seen.withSubagents(seen.turns().flatMap(({ prompt, answers }) => [prompt ?? [], answers].flat(2))),
      ]
      return new Map(
        all.flatMap((message) => [
          [message.id, ''],
          ...seen.partsOf(message).map((part) => [`${message.id}/${part.id}`, part.text ?? '']),
        ]),
      )
    }
    const below = random(seed + 7)
    const times = Array.from({ length: 30 }, () => schedule.timeAt(below(Math.ceil(length) + 2))).sort((a, b) => a - b)
    let before = new Map()
    const shown = times.map((time) => {
      seen.seek(time)
      const now = there()
      assert.ok(isBefore([...before], now), `seed ${seed}: nothing goes away`)
      for (const { message, part, start } of entries)
        if (start > time) assert.ok(!now.has(part ? `${message.id}/${part.id}` : message.id), `seed ${seed}: too early`)
      before = now
      return JSON.stringify(told(seen))
    })
    seen.seek(end)
    assert.deepEqual(told(seen), told(session), `seed ${seed}`)
    for (const at of [...times.keys()].toReversed()) {
      seen.seek(times[at])
      assert.equal(JSON.stringify(told(seen)), shown[at], `seed ${seed}: as it was`)
    }
  }
})

test('what changes is told: turns that are brought up to date are as turns made anew', () => {
  for (const seed of seeds) {
    const { schedule, seen } = played(sessionItem(), anySession(seed))
    const turns = new Turns(seen)
    const below = random(seed)
    const sums = (turns) => turns.all.map(({ id, sum }) => [id, sum])
    for (let step = 0; step < 20; step += 1) {
      turns.update(seen.seek(below(Math.ceil(schedule.span) + 2)))
      const anew = new Turns(seen)
      anew.update()
      assert.deepEqual(sums(turns), sums(anew), `seed ${seed}`)
    }
  }
})

test('the times of play and session go forth together, and lead back to each other', () => {
  for (const seed of seeds) {
    const { schedule } = played(sessionItem(), anySession(seed))
    let last = -1
    for (let at = 0; at <= 20; at += 1) {
      const time = (schedule.span * at) / 20
      const place = schedule.playedAt(time)
      assert.ok(place >= last && place <= schedule.length)
      assert.ok(Math.abs(schedule.timeAt(place) - time) <= 1e-6 * (1 + schedule.span))
      last = place
    }
    assert.equal(schedule.timeAt(schedule.length), schedule.span)
  }
})

test('the recorded session ends as it is', async () => {
  const lines = await readFile(new URL('../fixtures/opencode-session.jsonl', import.meta.url), 'utf8')
  const items = lines.trim().split('\n')
  const session = new Session()
  const key = ({ type, data }) =>
    type === 'part' ? `part/${data.messageID}/${data.id}` : type === 'message' ? `message/${data.id}` : type
  const whole = new Map(items.flatMap((line) => JSON.parse(line).body.data ?? []).map((item) => [key(item), item]))
  const frame = { type: 'items', epoch: 'e', seq: 1, removed: [], more: false }
  session.apply({ ...frame, items: [...whole].map(([key, item], n) => ({ key, n, ...item })) })
  const schedule = new Schedule(session)
  const seen = new SeenSession(session, schedule)
  seen.seek(schedule.span)
  assert.deepEqual(told(seen), told(session))
  assert.equal(schedule.marks([]).length, 0)
})

test('of many turns the last are there at once, and the others bit by bit', () => {
  const { session, schedule, seen } = played(...Array.from({ length: 40 }, (_, turn) => asks(turn * 10)))
  const filled = () => seen.turns().map(({ prompt }) => Boolean(prompt))
  seen.seek(schedule.span)
  assert.deepEqual([filled().lastIndexOf(false), filled().length], [31, 40])
  assert.ok(seen.fill())
  assert.deepEqual([filled().lastIndexOf(false), filled().length], [23, 40])
  seen.seek(schedule.span / 2)
  assert.ok(!filled().slice(-8).includes(false), 'where one goes they are there')
  seen.seek(schedule.span)
  while (seen.fill());
  assert.deepEqual(told(seen), told(session))
  seen.seek(0)
  assert.equal(seen.fill(), false)
})

test('a step costs what it changes, in a session of any length', () => {
  const session = sessionOf([...largeSession(6000, 600_000)].flat())
  const schedule = new Schedule(session)
  const seen = new SeenSession(session, schedule)
  seen.seek(schedule.span)
  const { start } = schedule.entries.at(-1)
  assert.ok(seen.seek(start - 1).size <= 10)
  assert.equal(seen.seek(start - 1).size <= 2, true)
})
