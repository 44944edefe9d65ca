// Encrypted shares between programs that know nothing of each other's code: what node seals `brutus-share read` opens,
// and what the relay seals the page's own module opens.

import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { Keys } from '../../viewer/load/seal.js'
import { run } from '../lib/process.mjs'
import { setUp } from '../lib/relay.mjs'
import { SealedShare } from '../lib/sealing.mjs'
import { BINARY } from '../lib/server.mjs'

const { server, relay } = await setUp()

const LETTERS = ['a', '\n', '"', '\\', '\u0000', 'é', '🐚', '\u2028', ' ']

/** A text of up to so many characters: of a few of them, or of random ones. */
function textOf(most) {
  const length = randomInt(most)
  if (randomInt(2)) return randomBytes(length).toString('base64')
  return Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]).join('')
}

/** A session of random texts, some of them long. */
function randomSession() {
  const items = [{ type: 'session', data: { id: 's', title: textOf(100) } }]
  for (let message = 0; message < 20; message += 1) {
    items.push({ type: 'message', data: { id: `m${message}`, role: 'user', time: { created: message + 1 } } })
    const text = textOf(message % 4 ? 500 : 30_000)
    const part = { id: `p${message}`, messageID: `m${message}`, type: 'text', text, time: { start: 1, end: 2 } }
    items.push({ type: 'part', data: part })
  }
  return items
}

test('what node seals is read by its link', async () => {
  for (const phrase of [undefined, 'пароль 🔑']) {
    const items = randomSession()
    const share = await SealedShare.create(server, phrase)
    await share.sync(...items)
    const file = join(relay.dir, 'phrase')
    await writeFile(file, phrase ?? '')
    const given = phrase === undefined ? [] : ['--phrase-file', file]
    const { code, stdout, stderr } = await run(BINARY, ['read', '--json', share.url, ...given])
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout), items)
  }
})

test('what the relay seals is opened by the page', async () => {
  const items = randomSession()
  const { json } = await relay.request('POST', '/v1/sessions/ses_1/share', { data: items, sealed: true })
  assert.equal((await relay.request('POST', '/v1/sessions/ses_1/flush')).status, 200)
  const keys = await Keys.of(json.url.split('#k1=')[1])
  const page = (await server.request('GET', `/api/share/${json.id}/items?order=1`)).json
  const opened = new Map()
  for (const { data } of page.items) opened.set(data.id, await keys.open(json.id, data))
  const whole = [...opened].flatMap(([id, { type, data }]) => {
    if (type === 'segment' || type === 'manifest') return []
    if (data.text?.segments === undefined) return [{ type, data }]
    const text = Array.from({ length: data.text.segments }, (_, at) => opened.get(`${id}/${at}`).data).join('')
    return [{ type, data: { ...data, text } }]
  })
  const byKey = (list) => list.map((item) => JSON.stringify(item)).sort()
  assert.deepEqual(byKey(whole), byKey(items))
})
