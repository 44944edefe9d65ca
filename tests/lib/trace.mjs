// What the browser's own trace says of a page's main thread: how long its tasks were, and what they were spent on.

// Slices of a trace by what they are spent on. All others are left out.
const KINDS = {
  UpdateLayoutTree: 'style',
  Layout: 'layout',
  PrePaint: 'paint',
  Paint: 'paint',
  Layerize: 'paint',
  Commit: 'paint',
  ParseHTML: 'parsing',
  MajorGC: 'memory',
  MinorGC: 'memory',
  FunctionCall: 'script',
  EvaluateScript: 'script',
  TimerFire: 'script',
  FireAnimationFrame: 'script',
  EventDispatch: 'script',
  HandlePostMessage: 'script',
}

/**
 * Does something with a page, and gives what its main thread did meanwhile, in milliseconds of the processor's time,
 * which other programs do not make longer: `{ longest, total, kinds, restyled, laidOut, forced }`. `longest` is the
 * longest task, `kinds` has the sum and the longest slice of each kind, without what stands in it; `restyled` and
 * `laidOut` are how many elements and boxes were, by the times that it was done, and `forced` how many boxes a timer
 * had laid out.
 */
export async function traced(browser, page, work) {
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] })
  await work()
  const { traceEvents: all } = JSON.parse((await browser.stopTracing()).toString())
  const thread = mainThread(all)
  const events = all.filter(({ ph, pid, tid }) => ph === 'X' && `${pid}/${tid}` === thread)
  const tasks = events.filter(({ name }) => name === 'ThreadControllerImpl::RunTask').map(({ tdur }) => tdur ?? 0)
  const named = (wanted) => events.filter(({ name }) => name === wanted)
  const layouts = named('Layout')
  const boxes = ({ args }) => args.beginData?.dirtyObjects ?? 0
  const timers = named('TimerFire')
  const isInTimer = ({ ts }) => timers.some((timer) => timer.ts <= ts && ts < timer.ts + timer.dur)
  return {
    longest: tasks.reduce((longest, task) => Math.max(longest, task), 0) / 1000,
    total: tasks.reduce((sum, task) => sum + task, 0) / 1000,
    kinds: byKind(events.filter(({ name }) => KINDS[name])),
    restyled: named('UpdateLayoutTree').map(({ args }) => args.elementCount ?? 0),
    laidOut: layouts.map(boxes),
    forced: layouts.filter(isInTimer).map(boxes),
  }
}

/** The main thread of the page that did most. */
function mainThread(events) {
  const styled = new Map()
  for (const { name, pid, tid } of events)
    if (name === 'UpdateLayoutTree') styled.set(`${pid}/${tid}`, (styled.get(`${pid}/${tid}`) ?? 0) + 1)
  return [...styled].toSorted(([, one], [, other]) => other - one)[0]?.[0]
}

function byKind(events) {
  const kinds = {}
  const open = []
  const close = ({ name, tdur = 0, within }) => {
    const kind = (kinds[KINDS[name]] ??= { sum: 0, longest: 0 })
    const own = Math.max(0, tdur - within) / 1000
    kind.sum += own
    kind.longest = Math.max(kind.longest, own)
  }
  for (const event of events.toSorted((one, other) => one.ts - other.ts || other.dur - one.dur)) {
    while (open.length && open.at(-1).ts + open.at(-1).dur <= event.ts) close(open.pop())
    if (open.length) open.at(-1).within += event.tdur ?? 0
    open.push({ ...event, within: 0 })
  }
  while (open.length) close(open.pop())
  return kinds
}
