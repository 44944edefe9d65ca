// What is refused, with which status and code, in which order, and that nothing of it is stored: PROTOCOL.md,
// "Statuses".

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'

import { ask, message, part, refusal, session, share, testWith } from './target.mjs'

const NEVER = '0123456789abcdefABCDEF'

testWith({}, 'bodies that cannot be read are refused, and nothing of them is stored', async (server) => {
  const one = await share(server)
  const sync = async (body) => refusal(await one.ask('POST', '/sync', { body }))
  const { secret } = one
  for (const body of [
    '',
    '{',
    'null',
    '[]',
    '{}',
    `{"secret":"${secret}"}`,
    `{"secret":7,"data":[]}`,
    `{"secret":"${secret}","data":{}}`,
    `{"secret":"${secret}","data":null}`,
    `{"secret":"${secret}","data":[1]}`,
    `{"secret":"${secret}","data":[],}`,
    `{"secret":"${secret}","data":[]}}`,
    `{"secret":"${secret}","data":[{}]}`,
    `{"secret":"${secret}","data":[{"type":"session"}]}`,
    `{"secret":"${secret}","data":[{"type":7,"data":{}}]}`,
    `{"secret":"${secret}","data":[{"type":"session","data":{"a":tru}}]}`,
    `{"secret":"${secret}","data":[{"type":"session","data":{"a":"\u0001"}}]}`,
    `{"secret":"${secret}","data":[{"type":"x","data":1},]}`,
    `{"secret":"${secret}","data":[{"type":"x","data":1} {"type":"y","data":1}]}`,
    `{"secret":"${secret}","data":[{"type":"x","data":1}],"more":[}`,
    Buffer.concat([
      Buffer.from(`{"secret":"${secret}","data":[{"type":"x","data":"`),
      Buffer.from([0xff]),
      Buffer.from('"}]}'),
    ]),
    `{"secret":"${secret}","data":[{"type":"x","data":${'['.repeat(126)}${']'.repeat(126)}}]}`,
  ]) {
    assert.equal(await sync(body), '400 malformed', String(body).slice(0, 160))
  }
  // As deep as a body may nest; brackets in strings are none.
  assert.equal((await one.putText(`{"type":"x","data":${'['.repeat(124)}${']'.repeat(124)}}`)).status, 200)
  assert.equal((await one.putText(String.raw`{"type":"x","data":"${'[{'.repeat(200)}\\\"["}`)).status, 200)
  assert.equal((await one.data()).length, 1)
})

testWith({}, 'an item without what its key needs is refused with its place, and the others with it', async (server) => {
  const one = await share(server)
  for (const [type, data] of [
    ['session', []],
    ['message', {}],
    ['message', { id: '' }],
    ['message', { id: 7 }],
    ['message', ['m']],
    ['message', { id: 'x'.repeat(257) }],
    ['message', { id: 'é'.repeat(129) }],
    ['message', { id: 'a\nb' }],
    ['part', { id: 'p' }],
    ['part', { messageID: 'm' }],
    ['part', { messageID: 'a/b', id: 'p' }],
    ['model', {}],
    ['model', [{ id: 'm' }]],
    ['model', [null]],
    ['session_diff', null],
    ['', 1],
    ['Upper', 1],
    ['a/b', 1],
    ['t'.repeat(65), 1],
    ['message.removed', {}],
    ['part.removed', { id: 'p' }],
    ['todo', { id: 'a\u0000b' }],
  ]) {
    const answer = await one.put(session(), { type, data })
    assert.equal(refusal(answer), '400 malformed', JSON.stringify([type, data]))
    assert.match(answer.json.error.message, /data\[1\]/)
  }
  assert.deepEqual(await one.data(), [])
  assert.equal((await one.put(message('x'.repeat(256)), { type: 't'.repeat(64), data: 0 })).status, 200)
})

testWith({}, 'the data of a type that is not known may be null too', async (server) => {
  const one = await share(server)
  assert.equal((await one.put({ type: 'x', data: null })).status, 200)
  assert.deepEqual(await one.data(), [{ type: 'x', data: null }])
})

testWith({}, 'a share that there is not is told before a wrong secret, and that before all else', async (server) => {
  const one = await share(server)
  const wrong = { secret: crypto.randomUUID(), data: [session()] }
  assert.equal(refusal(await one.ask('POST', '/sync', { body: wrong })), '401 wrong_secret')
  assert.equal(
    refusal(await one.ask('POST', '/sync', { body: { data: [{ type: 'A' }], secret: 'x' } })),
    '401 wrong_secret',
  )
  assert.equal(refusal(await one.ask('POST', '/sync', { body: '{"secret":"no","data":[{' })), '401 wrong_secret')
  assert.equal(refusal(await one.ask('DELETE', '', { body: wrong })), '401 wrong_secret')
  for (const body of ['', '{}', '{"secret":7}', '[]', '{"secret":"x"']) {
    assert.equal(refusal(await one.ask('DELETE', '', { body })), '400 malformed', body)
  }
  for (const id of [NEVER, 'short', `${one.id}x`, '..%2f..%2fetc']) {
    const path = `/api/share/${id}`
    assert.equal(refusal(await ask(server, 'POST', `${path}/sync`, { body: '{' })), '404 no_such_share', id)
    assert.equal(refusal(await ask(server, 'DELETE', path, { body: '{' })), '404 no_such_share', id)
    for (const what of ['', '/data', '/items']) {
      assert.equal(refusal(await ask(server, 'GET', path + what)), '404 no_such_share', id + what)
    }
  }
  assert.deepEqual(await one.data(), [])
  // No answer repeats what was sent.
  const { text } = await one.ask('POST', '/sync', { body: wrong })
  assert.ok(!text.includes(wrong.secret))
})

testWith(
  { max_body: 200_000 },
  'of a share that there is not no body is waited for, nor of one that is too large',
  async (server) => {
    const one = await share(server)
    const early = async (path, length, beginning) => {
      const sent = request(`${server.url}${path}`, { method: 'POST', headers: { 'content-length': length } })
      sent.on('error', () => {})
      sent.write(beginning)
      const [answer] = await once(sent, 'response')
      const text = (await answer.setEncoding('utf8').toArray()).join('')
      sent.destroy()
      return `${answer.statusCode} ${JSON.parse(text).error.code}`
    }
    assert.equal(await early(`/api/share/${NEVER}/sync`, 100_000, '{"secret":"x"'), '404 no_such_share')
    assert.equal(await early(`/api/share/${NEVER}/sync`, 900_000, '{"secret":"x"'), '404 no_such_share')
    assert.equal(await early(`${one.path}/sync`, 900_000, '{"secret":"x"'), '413 body_too_large')
    assert.equal(await early(`${one.path}/sync`, 100_000, '{"secret":"x", "data":['), '401 wrong_secret')
  },
)

testWith({}, 'methods and paths that there are not have their statuses', async (server) => {
  const one = await share(server)
  const methods = async (path) => {
    const answer = await ask(server, 'PUT', path)
    assert.equal(refusal(answer), '405 method_not_allowed', path)
    return answer.headers.get('allow')
  }
  assert.equal(await methods('/api/share'), 'POST')
  assert.equal(await methods(one.path), 'GET, HEAD, PATCH, DELETE')
  for (const what of ['sync', 'open']) assert.equal(await methods(`${one.path}/${what}`), 'POST')
  assert.equal(await methods(`${one.path}/data`), 'GET, HEAD')
  assert.equal(await methods(`${one.path}/items`), 'GET, HEAD')
  assert.equal(await methods(`${one.path}/poll`), 'GET')
  assert.equal(await methods(`/s/${one.id}`), 'GET, HEAD')
  for (const path of ['/api', '/api/share/a/b/c', '/nothing', `${one.path}/nothing`, '/assets/nothing.js', '/s']) {
    assert.equal(refusal(await ask(server, 'GET', path)), '404 no_such_path', path)
  }
  assert.equal(refusal(await one.ask('GET', '/poll')), '400 not_an_upgrade')
  for (const path of ['/healthz', '/readyz']) assert.equal((await ask(server, 'GET', path)).status, 200)
})

const LIMITS = { max_body: 60_000, max_item: 10_000, max_share: 40_000, max_items: 20 }

testWith(LIMITS, 'what is too large is refused whole, and says which limit', async (server) => {
  const one = await share(server)
  const refused = async (code, limit, ...items) => {
    const answer = await one.put(...items)
    assert.equal(refusal(answer), `413 ${code}`)
    assert.ok(answer.json.error.message.includes(limit), answer.json.error.message)
  }
  const text = (length) => 'x'.repeat(length)
  await refused('body_too_large', 'max_body', part('m', '1', text(60_000)))
  await refused('item_too_large', 'data[1]', session(), part('m', '1', text(10_000)))
  await refused('item_too_large', 'max_item', part('m', '1', 'é'.repeat(5_000)))
  const pieces = (count, length) => Array.from({ length: count }, (_, at) => part('m', `p${at}`, text(length)))
  await refused('share_too_large', 'max_share', session(), ...pieces(5, 8_500))
  await refused('too_many_items', 'max_items', ...pieces(21, 1))
  await refused('too_many_items', 'max_items', ...pieces(41, 1))
  assert.deepEqual(await one.data(), [])

  // A body that does not say how large it is.
  const chunked = await fetch(`${server.url}${one.path}/sync`, {
    method: 'POST',
    duplex: 'half',
    body: new Blob([`{"secret":"${one.secret}","data":[{"type":"x","data":"${text(70_000)}"}]}`]).stream(),
  })
  assert.equal(refusal({ ...(await answerOf(chunked)) }), '413 body_too_large')

  // Of a full share a change and a removal are always taken, and as much can come as goes.
  assert.equal((await one.put(...pieces(20, 1))).status, 200)
  await refused('too_many_items', 'max_items', part('m', 'one-more'))
  assert.equal((await one.put(part('m', 'p0', 'changed'))).status, 200)
  const gone = Array.from({ length: 20 }, (_, at) => ({ type: 'part.removed', data: { messageID: 'm', id: `p${at}` } }))
  const others = Array.from({ length: 20 }, (_, at) => part('n', `q${at}`))
  assert.equal((await one.put(...gone, ...others)).status, 200)
  assert.equal((await one.data()).length, 20)
  // Tombstones count too, or they would grow without end.
  await refused(
    'too_many_items',
    'max_items',
    ...others.map(({ data: { id, messageID } }) => ({ type: 'part.removed', data: { id, messageID } })),
    part('o', '1'),
    part('o', '2'),
  )
})

testWith({ max_share: 40_000 }, 'a share that is full may shrink', async (server) => {
  const one = await share(server)
  const full = part('m', 'p', 'x'.repeat(39_000))
  assert.equal((await one.put(full)).status, 200)
  assert.equal(refusal(await one.put(part('m', 'q', 'x'.repeat(2_000)))), '413 share_too_large')
  assert.equal(
    (await one.put({ type: 'part.removed', data: { messageID: 'm', id: 'p' } }, part('m', 'q', 'x'.repeat(2_000))))
      .status,
    200,
  )
  assert.deepEqual(
    (await one.data()).map(({ data }) => data.id),
    ['q'],
  )
})

async function answerOf(answer) {
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, text, json: JSON.parse(text) }
}
