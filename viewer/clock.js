// Times that are said relatively, brought up to date every second.

import { el, rewrite } from './dom.js'
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
  // By collections that the browser keeps: to match selectors with all elements takes long in a long session.
  for (const node of document.getElementsByTagName('time')) {
    const ms = node.getAttribute('data-ms')
    if (ms !== null) rewrite(node, (node.hasAttribute('data-ahead') ? relativeTime : timeAgo)(Number(ms)))
  }
  for (const node of document.getElementsByClassName('busy')) {
    const since = node.getAttribute('data-since')
    if (since === null) continue
    if (isLeft(node, Number(since))) rewrite(node, strings.unfinished)
    else if (since) rewrite(node, `${strings.running} ${duration(Math.max(0, now - since))}`)
  }
}
