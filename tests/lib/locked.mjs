// A proxy that lets nobody read without a password, as a server does, and says that there were too many tries when it
// is told to.

import { Proxy } from './proxy.mjs'

const refusal = (status, code, headers) => ({
  status,
  headers,
  type: 'application/json',
  body: JSON.stringify({ error: { code, message: code } }),
})

const COOKIE = 'share_x=1'

export class LockedProxy extends Proxy {
  password = 'open sesame'
  /** What was tried: bodies of requests. */
  tried = []
  /** Whether there were too many tries. */
  isBusy = false

  constructor() {
    super()
    this.answer = async ({ path, headers, body }) => {
      if (path.endsWith('/open')) return this.#open(JSON.parse(await body()))
      const isIn = headers.cookie?.includes(COOKIE)
      return /^\/api\/share\/\w+\/(?:items|poll)/.test(path) && !isIn ? refusal(401, 'password_needed') : undefined
    }
  }

  #open(tried) {
    this.tried.push(tried)
    if (this.isBusy) return refusal(429, 'too_many_tries', { 'retry-after': '2' })
    if (tried.password !== this.password) return refusal(401, 'wrong_password')
    const headers = { 'set-cookie': `${COOKIE}; HttpOnly; SameSite=Strict; Path=/` }
    return { status: 200, headers, type: 'application/json', body: '{}' }
  }
}
