// Times that are said relatively, brought up to date every second.

import { el } from './dom.js'
import { duration, exactTime, relativeTime, timeAgo } from './format.js'
import { strings } from './strings.js'
import { moment } from './values.js'

/** A time that is said relatively, and exactly on hover; one that `mayComeYet` too. Nothing when it is no time. */
export function time(value, mayComeYet = false) {
  const ms = moment(value)
  if (ms === undefined) return undefined
  return el(
    'time',
    {
      datetime: new Date(ms).toISOString(),
      title: exactTime(ms),
      dataset: { ms: String(ms), ...(mayComeYet && { ahead: '' }) },
    },
    (mayComeYet ? relativeTime : timeAgo)(ms),
  )
}

/** Brings all times up to date. `isLeft` says whether what began then, and runs in a node, did not come to its end. */
export function tick(isLeft, now = Date.now()) {
  for (const node of document.querySelectorAll('time[data-ms]')) {
    const { ms, ahead } = node.dataset
    write(node, (ahead === undefined ? timeAgo : relativeTime)(Number(ms)))
  }
  for (const node of document.querySelectorAll('.busy[data-since]')) {
    const since = Number(node.dataset.since)
    if (isLeft(node, since)) write(node, strings.unfinished)
    else if (since) write(node, `${strings.running} ${duration(Math.max(0, now - since))}`)
  }
}

function write(node, words) {
  if (node.textContent !== words) node.textContent = words
}
