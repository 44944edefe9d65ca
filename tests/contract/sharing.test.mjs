// A share is created, synced and read: PROTOCOL.md, "Sharing", "Items" and "Reading".

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ask, message, part, refusal, session, share, startWithToken, testWith } from './target.mjs'

testWith({}, 'a create gives out an id, a link and a secret, each time another share', async (server) => {
  const { status, json, headers } = await ask(server, 'POST', '/api/share', { body: { sessionID: 'ses_1' } })
  assert.equal(status, 200)
  assert.match(json.id, /^[0-9A-Za-z]{22}$/)
  assert.ok(json.url.endsWith(`/s/${json.id}`))
  assert.match(json.secret, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.deepEqual(Object.keys(json).sort(), ['id', 'secret', 'url'])
  assert.match(headers.get('content-type'), /^application\/json/)
  assert.equal(headers.get('cache-control'), 'no-store')
  const other = await share(server)
  assert.notEqual(other.id, json.id)
  assert.notEqual(other.secret, json.secret)

  const before = Date.now()
  const { expiresAt } = (
    await ask(server, 'POST', '/api/share', { body: { sessionID: 'é'.repeat(256), expiresIn: 86400 } })
  ).json
  assert.ok(Math.abs(expiresAt - before - 86_400_000) < 60_000, String(expiresAt))
})

testWith({}, 'a create that cannot be read is refused', async (server) => {
  for (const body of [
    '',
    '{',
    '[]',
    '"x"',
    '{"sessionID":"a"} x',
    '{}',
    '{"sessionID":7}',
    '{"sessionID":""}',
    `{"sessionID":"${'x'.repeat(257)}"}`,
    '{"sessionID":"a","expiresIn":0}',
    '{"sessionID":"a","expiresIn":-1}',
    '{"sessionID":"a","expiresIn":1.5}',
    '{"sessionID":"a","expiresIn":"60"}',
    new Uint8Array([0x7b, 0xff, 0x7d]),
  ]) {
    assert.equal(refusal(await ask(server, 'POST', '/api/share', { body })), '400 malformed', String(body).slice(0, 60))
  }
  const large = { sessionID: 'a', more: 'x'.repeat(70_000) }
  assert.equal(refusal(await ask(server, 'POST', '/api/share', { body: large })), '413 body_too_large')
})

testWith({}, 'what is synced is what is read, in reading order', async (server) => {
  const one = await share(server)
  const empty = (await one.ask('GET', '')).json
  assert.deepEqual([empty.title, empty.status, empty.seq, empty.viewers], [null, null, 0, 0])
  assert.equal((await one.ask('GET', '/data')).text, '[]')

  const items = [
    part('msg_b', 'prt_2', 'second'),
    part('msg_b', 'prt_1', 'came later'),
    message('msg_b', { time: { created: 20 } }),
    { type: 'zz.unknown', data: [1, 2] },
    { type: 'todo', data: { id: 7, done: false } },
    { type: 'model', data: [{ id: 'm', providerID: 'p', name: 'M' }] },
    message('msg_c', { time: { created: 15 }, parentID: 'msg_a' }),
    message('msg_a', { role: 'user', time: { created: 10 } }),
    message('msg_d', { time: { created: 12 } }),
    part('lost', 'prt_9'),
    { type: 'session_diff', data: [{ file: 'a' }] },
    session(),
    { type: 'agent', data: { name: 'tester' } },
    { type: 'messages', data: { sessionID: 'ses_2', messages: [{ id: 'x', type: 'user' }] } },
  ]
  const { status, json } = await one.put(...items)
  assert.deepEqual([status, json], [200, {}])
  const read = (await one.ask('GET', '/data')).json
  const named = ({ type, data }) => `${type} ${data.id ?? data.sessionID ?? ''}`.trim()
  assert.deepEqual(read.map(named), [
    'session ses_1',
    'message msg_a',
    'message msg_c',
    'message msg_d',
    'message msg_b',
    'part prt_2',
    'part prt_1',
    'part prt_9',
    'agent',
    'messages ses_2',
    'model',
    'session_diff',
    'todo 7',
    'zz.unknown',
  ])
  const byName = (list) => Object.fromEntries(list.map((item) => [named(item), item]))
  assert.deepEqual(byName(read), byName(items))

  const summary = (await one.ask('GET', '')).json
  assert.deepEqual([summary.id, summary.title, summary.seq], [one.id, 'A session', items.length])
  assert.deepEqual(Object.keys(summary).sort(), [
    ...['createdAt', 'expiresAt', 'id', 'seq', 'status', 'title', 'updatedAt', 'viewers'],
  ])
  assert.ok(Math.abs(summary.createdAt - Date.now()) < 60_000 && summary.updatedAt >= summary.createdAt)
  assert.equal(summary.expiresAt, null)
})

testWith({}, 'all but what is private keeps its bytes', async (server) => {
  const one = await share(server)
  const text = String.raw`"\u00e9\ud83d \u0000 é \"\\"`
  const raw = `{ "messageID" : "m", "id":"p","text":${text},"n":1.50,"e":1e3, "big":12345678901234567890 }`
  await one.putText(
    [
      `{"type":"part","data":${raw}}`,
      String.raw`{"data":{"id":"s","permission":[{"a":"}"}],"title":"T\ud83d","metadata":{"k":1},"n":1.0},
        "type":"session"}`,
      String.raw`{"type":"message","data":{"id":"m","role":"user","system":"be \"good\"","x": [ 1 ]}}`,
      `{"type":"message","data":{"id":"n","role":"assistant","system":"kept"}}`,
      `{"type":"model","data":[{"id":"x","providerID":"p","headers":{"a":"b"},"limit":{"context":1.0},"options":{}}]}`,
      `{"type":"messages","data":{"sessionID":"s","y":1,
        "messages":[{"type":"system","text":"[{"},{"type":"user","id": 1.0}]}}`,
    ].join(),
  )
  const stored = (await one.ask('GET', '/data')).text
  for (const kept of [
    raw,
    String.raw`{"id":"s","title":"T\ud83d","n":1.0}`,
    `{"id":"m","role":"user","x":[ 1 ]}`,
    `{"id":"n","role":"assistant","system":"kept"}`,
    `[{"id":"x","providerID":"p","limit":{"context":1.0}}]`,
    `"messages":[{"type":"user","id": 1.0}]`,
  ])
    assert.ok(stored.includes(kept), `${kept}\n${stored}`)
  for (const gone of ['permission', 'metadata', 'good', 'headers', 'options', 'system","text'])
    assert.ok(!stored.includes(gone), gone)
  assert.equal((await one.ask('GET', '')).json.title.slice(0, 1), 'T')
})

testWith({}, 'models are merged, and the newest of each stays', async (server) => {
  const one = await share(server)
  const model = (id, name, providerID = 'p') => ({ id, providerID, name })
  await one.put({ type: 'model', data: [model('a', 'old'), model('b', 'B')] })
  await one.put({ type: 'model', data: [model('a', 'new')] }, { type: 'model', data: [model('a', 'other', 'q')] })
  assert.deepEqual((await one.data())[0].data, [model('a', 'new'), model('b', 'B'), model('a', 'other', 'q')])
  const many = Array.from({ length: 1200 }, (_, at) => model(`m${at}`, 'M'))
  await one.put({ type: 'model', data: many })
  assert.deepEqual((await one.data())[0].data, many.slice(200))
})

testWith({}, 'removals take items away, a message with its parts', async (server) => {
  const one = await share(server)
  await one.put(
    session(),
    message('a'),
    part('a', '1'),
    part('a', '2'),
    message('b'),
    part('b', '1'),
    part('b', '2'),
    message('a0'),
    part('a0', '1'),
    { type: 'todo', data: { id: 't' } },
    { type: 'status', data: { state: 'busy', at: 5 } },
    { type: 'messages', data: { sessionID: 's', messages: [] } },
    { type: 'model', data: [{ id: 'm', providerID: 'p' }] },
    { type: 'session_diff', data: [] },
  )
  const { seq, epoch } = await one.items()
  const { status } = await one.put(
    { type: 'message.removed', data: { id: 'a' } },
    { type: 'part.removed', data: { messageID: 'b', id: '1' } },
    { type: 'todo.removed', data: { id: 't' } },
    { type: 'status.removed', data: {} },
    { type: 'messages.removed', data: { sessionID: 's' } },
    { type: 'model.removed', data: {} },
    { type: 'session_diff.removed', data: {} },
    { type: 'message.removed', data: { id: 'never' } },
  )
  assert.equal(status, 200)
  const kinds = (await one.data()).map(({ type, data }) => `${type}/${data.id}`)
  assert.deepEqual(kinds, ['session/ses_1', 'message/b', 'part/2', 'message/a0', 'part/1'])
  const { removed } = await one.items(`?after=${seq}&epoch=${epoch}`)
  const gone = [
    'message/a',
    'messages/s',
    'model',
    'part/a/1',
    'part/a/2',
    'part/b/1',
    'session_diff',
    'status',
    'todo/t',
  ]
  assert.deepEqual(removed.sort(), gone)
  assert.deepEqual((await one.items()).removed, [], 'who has nothing need not hear of it')

  // Within one batch the last change of a key counts, and what is removed takes what came before it in the batch along.
  await one.put(message('c'), part('c', '1'), { type: 'message.removed', data: { id: 'c' } }, part('c', '2'))
  assert.deepEqual(
    (await one.data()).filter(({ data }) => data.messageID === 'c').map(({ data }) => data.id),
    ['2'],
  )
})

testWith({}, 'a removal takes no part of another message', async (server) => {
  const one = await share(server)
  await one.put(message('a'), part('a', 'b/c'), message('a/b'))
  await one.put({ type: 'message.removed', data: { id: 'a/b' } })
  assert.deepEqual(
    (await one.data()).map(({ data }) => data.id),
    ['a', 'b/c'],
  )
})

testWith({}, 'the same batch again changes nothing', async (server) => {
  const one = await share(server)
  const batch = [session(), message('a'), part('a', '1'), { type: 'model', data: [{ id: 'm', providerID: 'p' }] }]
  await one.put(...batch)
  const { seq } = (await one.ask('GET', '')).json
  assert.equal((await one.put(...batch)).status, 200)
  assert.equal((await one.put()).status, 200)
  assert.equal((await one.ask('GET', '')).json.seq, seq)
})

testWith({}, 'twenty clients at once lose nothing', async (server) => {
  const one = await share(server)
  const sent = Array.from({ length: 20 }, async (_, client) => {
    for (let at = 0; at < 5; at++) assert.equal((await one.put(part('m', `p${client}-${at}`))).status, 200)
  })
  await Promise.all(sent)
  assert.equal((await one.data()).length, 100)
})

testWith({}, 'what the agent does is told', async (server) => {
  const one = await share(server)
  const status = async () => (await one.ask('GET', '')).json.status
  await one.put(message('u', { role: 'user' }))
  assert.deepEqual(await status(), { state: 'busy' })
  await one.put(session(), message('a', { sessionID: 'ses_1' }))
  assert.deepEqual(await status(), { state: 'busy' })
  await one.put(message('a', { sessionID: 'ses_1', time: { created: 1, completed: 2 } }))
  assert.deepEqual(await status(), { state: 'idle' })
  await one.put(message('sub', { sessionID: 'ses_sub' }))
  assert.deepEqual(await status(), { state: 'idle' }, 'a subagent is not the session')
  await one.put({ type: 'status', data: { state: 'waiting', at: 5, label: 'Run `make`?' } })
  assert.deepEqual(await status(), { state: 'waiting', at: 5, label: 'Run `make`?' })
  await one.put({ type: 'status', data: { state: 'gone', at: 'soon', label: 7 } })
  assert.deepEqual(await status(), { state: 'gone' })
})

testWith({}, 'items are read from a position', async (server) => {
  const one = await share(server)
  const nothing = await one.items()
  assert.deepEqual(
    [nothing.type, nothing.seq, nothing.items, nothing.removed, nothing.more],
    ['items', 0, [], [], false],
  )
  await one.put(part('a', '1', 'old'), message('a'))
  const first = await one.items('?order=1')
  assert.deepEqual(
    first.items.map(({ key, type, n }) => [key, type, n]),
    [
      ['message/a', 'message', 0],
      ['part/a/1', 'part', 1],
    ],
  )
  assert.equal(first.seq, 2)
  await one.put(part('a', '1', 'new'), part('a', '2'))
  const position = `after=${first.seq}&epoch=${first.epoch}`
  const next = await one.items(`?${position}`)
  assert.deepEqual(
    next.items.map(({ key, data, n }) => [key, data.text, n]),
    [
      ['part/a/1', 'new', undefined],
      ['part/a/2', 'text', undefined],
    ],
  )
  assert.deepEqual([next.epoch, next.seq, next.more], [first.epoch, 4, false])
  // A position that means nothing here is none.
  for (const query of [`?after=2&epoch=other`, '?after=2', `?after=99&epoch=${first.epoch}`, `?epoch=${first.epoch}`]) {
    assert.equal((await one.items(query)).items.length, 3, query)
  }
  for (const query of ['?after=-1', '?after=x', '?after=1.5', '?after=']) {
    assert.equal(refusal(await one.ask('GET', `/items${query}`)), '400 malformed', query)
  }
})

testWith({}, 'a large share comes in several frames and whole', async (server) => {
  const one = await share(server)
  const text = 'é'.repeat(100_000)
  for (let at = 0; at < 12; at++) await one.put(part('m', `p${at}`, `${at} ${text}`))
  const seen = new Map()
  let [query, frames, more] = ['', 0, true]
  for (; more; frames++) {
    const frame = await one.items(query)
    for (const { key, data } of frame.items) seen.set(key, data.text)
    ;({ more } = frame)
    query = `?after=${frame.seq}&epoch=${frame.epoch}`
  }
  assert.ok(frames > 1, String(frames))
  assert.deepEqual(
    [...seen],
    Array.from({ length: 12 }, (_, at) => [`part/m/p${at}`, `${at} ${text}`]),
  )
  assert.equal((await one.data()).length, 12)
  const viewer = await one.watch()
  await viewer.reached(12)
  viewer.close()
  assert.ok(viewer.shown.length > 1)
  assert.equal(viewer.holds.size, 12)
})

testWith({}, 'an item of several megabytes is one as any other', async (server) => {
  const one = await share(server)
  // Pairs of surrogates at odd places: wherever an item is cut, some pair stands there.
  const text = `.${'😀'.repeat(700_000)}`
  assert.equal((await one.put(part('m', 'p', text))).status, 200)
  assert.equal((await one.data())[0].data.text, text)
  assert.equal((await one.items()).items[0].data.text, text)
  await one.put(part('m', 'p', 'short'))
  assert.equal((await one.data())[0].data.text, 'short')
})

testWith({}, 'content is tagged and not to be kept', async (server) => {
  const one = await share(server)
  await one.put(session())
  for (const path of ['/data', '/items']) {
    const first = await one.ask('GET', path)
    const etag = first.headers.get('etag')
    assert.match(etag, /^W\/"/)
    assert.equal(first.headers.get('cache-control'), 'no-store')
    assert.match(first.headers.get('content-type'), /^application\/json/)
    const again = await one.ask('GET', path, { headers: { 'if-none-match': `"x", ${etag}` } })
    assert.deepEqual([again.status, again.text, again.headers.get('etag')], [304, '', etag])
    const head = await one.ask('HEAD', path)
    assert.deepEqual([head.status, head.text], [200, ''])
  }
  const etag = (await one.ask('GET', '/data')).headers.get('etag')
  await one.put(message('a'))
  assert.equal((await one.ask('GET', '/data', { headers: { 'if-none-match': etag } })).status, 200)
})

testWith({}, 'slashes collapse, the plural is an alias, and a token in the path is no hindrance', async (server) => {
  for (const base of ['/api/share', '//api//share', '/api/shares', '/t/token/api/share', '/t/token/api/shares']) {
    const { status, json } = await ask(server, 'POST', base, { body: { sessionID: 's' } })
    assert.equal(status, 200, base)
    const body = { secret: json.secret, data: [session()] }
    assert.equal((await ask(server, 'POST', `${base}/${json.id}/sync`, { body })).status, 200, base)
    assert.equal((await ask(server, 'GET', `${base}/${json.id}//data`)).json.length, 1, base)
    assert.equal((await ask(server, 'GET', `${base}/${json.id}`)).json.title, 'A session', base)
    assert.equal((await ask(server, 'DELETE', `${base}/${json.id}`, { body: { secret: json.secret } })).status, 200)
  }
})

test(
  'where creating needs a token, it is sent as a header or in the path',
  { skip: process.env.BASE_URL },
  async (t) => {
    const { server, token } = await startWithToken()
    t.after(() => server.close())
    const create = (path, headers) => ask(server, 'POST', path, { body: { sessionID: 's' }, headers })
    for (const [path, headers] of [
      ['/api/share', {}],
      ['/api/share', { authorization: 'Bearer another' }],
      ['/api/share', { authorization: `Basic ${token}` }],
      ['/t/another/api/share', {}],
    ]) {
      assert.equal(refusal(await create(path, headers)), '401 wrong_create_token', path)
    }
    assert.equal((await create(`/t/${token}/api/share`)).status, 200)
    const { status, json } = await create('/api/share', { authorization: `Bearer ${token}` })
    assert.equal(status, 200)
    // Whoever has the secret needs no token.
    const body = { secret: json.secret, data: [session()] }
    assert.equal((await ask(server, 'POST', `/api/share/${json.id}/sync`, { body })).status, 200)
  },
)
