// A session as the page holds it, out of items.

import { Session } from '../../viewer/load/session.js'

/** What an item is stored under. */
export const keyOf = ({ type, data }) =>
  type === 'part' ? `part/${data.messageID}/${data.id}` : type === 'message' ? `message/${data.id}` : type

/** A session of items as a server sends them: `n` is their place by when they came. */
export function sessionOf(items) {
  const session = new Session()
  const frame = { type: 'items', epoch: 'e', seq: 1, removed: [], more: false }
  session.apply({ ...frame, items: items.map((item, n) => ({ key: keyOf(item), n, ...item })) })
  return session
}
