// A proxy that lets nobody read without a password, or what stands for a phrase, as a server does.

import { randomUUID } from 'node:crypto'

import { Proxy } from './proxy.mjs'

const refusal = (status, code, headers) => ({
  status,
  headers,
  type: 'application/json',
  body: JSON.stringify({ error: { code, message: code } }),
})

const DONE = { status: 200, type: 'application/json', body: '{}' }

export class LockedProxy extends Proxy {
  /** What opens: `{ password }` or `{ door }`; nothing when it is open. */
  lock
  /** What was tried, and what was asked of it: bodies of requests. */
  tried = []
  asked = []
  /** Whether there were too many tries. */
  isBusy = false
  #cookie = ''

  constructor() {
    super()
    this.answer = async ({ path, upgrade, method, headers, body }) => {
      const [, rest] = /^\/api\/share\/\w{22}(\/\w+)?/.exec(path) ?? []
      if (!path.startsWith('/api/share/')) return undefined
      if (rest === '/open') return this.#open(JSON.parse(await body()))
      if (method === 'PATCH') return this.#patch(JSON.parse(await body()))
      const isIn = !this.lock || headers.cookie?.includes(this.#cookie)
      if (rest && !isIn) return refusal(401, 'password_needed')
      if (rest || upgrade || method !== 'GET' || !this.lock?.password) return undefined
      const answer = await fetch(this.target.origin + path)
      const summary = { ...(await answer.json()), protected: true }
      return { status: answer.status, type: 'application/json', body: JSON.stringify(summary) }
    }
  }

  /** Sets what opens: who came in by another is out. */
  set(lock) {
    this.lock = lock
    this.#cookie = `share_x=${randomUUID()}`
    this.cut()
  }

  #open(tried) {
    this.tried.push(tried)
    if (this.isBusy) return refusal(429, 'too_many_tries', { 'retry-after': '2' })
    if (JSON.stringify(tried) !== JSON.stringify(this.lock)) return refusal(401, 'wrong_password')
    return { ...DONE, headers: { 'set-cookie': `${this.#cookie}; HttpOnly; SameSite=Strict; Path=/` } }
  }

  #patch({ secret, ...wish }) {
    this.asked.push(wish)
    if (secret !== this.secret) return refusal(401, 'wrong_secret')
    if ('password' in wish) this.set(wish.password === null ? undefined : { password: wish.password })
    return DONE
  }
}
