// How often a share's lock may be tried in vain.

/** Within `WINDOW`, in milliseconds from the first try on: of an address, and of all together. */
const MAX_HERE = 10
const MAX_ALL = 100
const WINDOW = 60_000

/** All are counted in the share's storage; addresses in memory alone, so that nothing is kept of who came. */
export class Tries {
  #kv
  #since
  #here = new Map()

  constructor(kv) {
    this.#kv = kv
  }

  /** Counts a try of a client, or says how many milliseconds it has to wait. Who is not known counts for all alone. */
  count(client) {
    const now = Date.now()
    const stored = this.#kv.get('tries')
    const { since, all } = stored && now - stored.since < WINDOW ? stored : { since: now, all: 0 }
    if (this.#since !== since) this.#here.clear()
    this.#since = since
    const here = this.#here.get(client) ?? 0
    if (all >= MAX_ALL || here >= MAX_HERE) return since + WINDOW - now
    this.#kv.put('tries', { since, all: all + 1 })
    if (client) this.#here.set(client, here + 1)
    return undefined
  }

  /** Takes one back: it was right. So there are never more clients than tries. */
  forget(client) {
    const { since, all } = this.#kv.get('tries')
    this.#kv.put('tries', { since, all: Math.max(0, all - 1) })
    const here = this.#here.get(client) ?? 0
    if (here > 1) this.#here.set(client, here - 1)
    else this.#here.delete(client)
  }
}

/** Who is counted as one: an address, or an IPv6 network of /64, for its owner has all of it. */
export function clientOf({ headers }) {
  const address = headers.get('cf-connecting-ip')
  if (!address?.includes(':')) return address
  const [before, behind = []] = address.split('::').map((groups) => groups.split(':').filter(Boolean))
  const zeros = Array(Math.max(0, 8 - before.length - behind.length)).fill('0')
  return [...before, ...zeros, ...behind].slice(0, 4).join(':')
}
