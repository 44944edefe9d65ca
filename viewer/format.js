// Numbers, sizes and times in the reader's own way of writing them.

const locale = undefined
const exact = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' })
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
const whole = new Intl.NumberFormat(locale)
const price = new Intl.NumberFormat(locale, { style: 'currency', currency: 'USD' })
const cents = new Intl.NumberFormat(locale, { style: 'currency', currency: 'USD', maximumFractionDigits: 4 })
const compact = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 })

const UNITS = [
  ['second', 60],
  ['minute', 60],
  ['hour', 24],
  ['day', 30],
  ['month', 12],
  ['year', Infinity],
]

export const exactTime = (ms) => exact.format(ms)

/** "3 min ago". What lies ahead is now: the clocks of different machines differ. */
export const timeAgo = (ms, now = Date.now()) => relativeTime(Math.min(ms, now), now)

/** "3 min ago", or "in 3 min" */
export function relativeTime(ms, now = Date.now()) {
  let amount = (ms - now) / 1000
  for (const [unit, size] of UNITS) {
    if (Math.abs(amount) < size) return inUnits(Math.round(amount), unit)
    amount /= size
  }
  return ''
}

// Few are different, and each takes longer to make than all else that a clock does.
const relatives = new Map()

function inUnits(amount, unit) {
  const key = `${amount} ${unit}`
  if (!relatives.has(key)) relatives.set(key, relative.format(amount, unit))
  return relatives.get(key)
}

/** A span of time, in milliseconds: "850 ms", "4.2 s", "3 min 5 s" */
export function duration(ms) {
  if (!(ms >= 0)) return ''
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** A span of time as a clock shows it: "0:42", "1:02:03" */
export function clock(ms) {
  const seconds = Math.floor(ms / 1000)
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const shown = parts[0] ? parts : parts.slice(1)
  return shown.map((part, at) => (at ? String(part).padStart(2, '0') : part)).join(':')
}

export const count = (number) => whole.format(number)
export const short = (number) => compact.format(number)

/** A price in US dollars, which is what agents report. */
export function cost(dollars) {
  if (!(dollars > 0)) return ''
  return (dollars < 0.1 ? cents : price).format(dollars)
}

export function bytes(size) {
  for (const unit of ['B', 'KiB', 'MiB']) {
    if (size < 1024) return `${size < 10 && unit !== 'B' ? size.toFixed(1) : Math.round(size)} ${unit}`
    size /= 1024
  }
  return `${size.toFixed(1)} GiB`
}
