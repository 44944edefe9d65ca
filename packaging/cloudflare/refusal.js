// Refusals: a code, which clients match on, its status, and a message for people that never repeats what was sent.

const STATUSES = {
  malformed: 400,
  not_an_upgrade: 400,
  wrong_secret: 401,
  wrong_create_token: 401,
  password_needed: 401,
  wrong_password: 401,
  forbidden: 403,
  sealed: 403,
  no_such_share: 404,
  no_such_path: 404,
  method_not_allowed: 405,
  sealed_mismatch: 409,
  body_too_large: 413,
  item_too_large: 413,
  share_too_large: 413,
  too_many_items: 413,
  too_many_creates: 429,
  too_many_tries: 429,
  unknown_format: 501,
  too_many_viewers: 503,
  unavailable: 503,
}

/** Seconds after which it is worth to ask again. */
const RETRY_AFTER = { too_many_creates: 60, too_many_viewers: 30, unavailable: 5 }

export class Refusal extends Error {
  constructor(code, message, headers = {}) {
    super(message)
    Object.assign(this, { code, headers })
  }

  get response() {
    const { code, message } = this
    const wait = RETRY_AFTER[code]
    const headers = { 'cache-control': 'no-store', ...(wait && { 'retry-after': wait }), ...this.headers }
    return Response.json({ error: { code, message } }, { status: STATUSES[code], headers })
  }
}

/** What a handler answers, or what it refuses with. What is none of ours passes: the store cannot do it now. */
export async function answered(handle) {
  try {
    return await handle()
  } catch (error) {
    if (error instanceof Refusal) return error.response
    console.error(error.stack ?? error)
    return new Refusal('unavailable', 'the store is not available: try again later').response
  }
}
