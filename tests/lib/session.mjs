// A session as the page holds it, out of items.

import { Session } from '../../viewer/load/session.js'

/** A session of items as a server sends them: `n` is their place by when they came. */
export function sessionOf(items) {
  const key = ({ type, data }) =>
    type === 'part' ? `part/${data.messageID}/${data.id}` : type === 'message' ? `message/${data.id}` : type
  const session = new Session()
  const frame = { type: 'items', epoch: 'e', seq: 1, removed: [], more: false }
  session.apply({ ...frame, items: items.map((item, n) => ({ key: key(item), n, ...item })) })
  return session
}
