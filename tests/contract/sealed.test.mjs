// Shares whose items only their readers can open: PROTOCOL.md, "Sealed shares".

import assert from 'node:assert/strict'

import { ask, message, part, refusal, session, share, testWith } from './target.mjs'

const SEALED = { version: 1, check: 'FZwZvxyPpSoL-KIRajSebg' }

// Names: of an item that stands alone, of a message, and of a part below it.
const [ALONE, MESSAGE, PART] = [
  'Ou5P6BlENqI9Q1Lj8mnC3A',
  'rxrbePvecI_LdH0SurqO6Q',
  'rxrbePvecI_LdH0SurqO6Q/yHLukNilQBwj71jZFtqF_w',
]

const item = (id, v, c = 'AQEB') => ({ type: 'sealed', data: { id, v, c } })
const removal = (id) => ({ type: 'sealed.removed', data: { id } })

/** Versions of what a share holds, by name. */
async function versions(one) {
  const { items } = await one.items()
  return Object.fromEntries(items.map(({ data: { id, v } }) => [id, v]))
}

testWith({}, 'what is said of the seal is read strictly, and a password does not go with it', async (server) => {
  const create = async (more) => refusal(await ask(server, 'POST', '/api/share', { body: { sessionID: 'x', ...more } }))
  const door = 'A'.repeat(43)
  for (const sealed of [
    true,
    'sealed',
    [],
    {},
    { ...SEALED, version: 2 },
    { ...SEALED, version: '1' },
    { version: 1 },
    { ...SEALED, check: 'short' },
    { ...SEALED, check: `${SEALED.check}==` },
    { ...SEALED, check: 'FZwZvxyPpSoL+KIRajSebg' },
    { ...SEALED, check: 'FZwZvxyPpSoL-KIRajSebh' },
    { ...SEALED, door: door.slice(1) },
    { ...SEALED, door: 7 },
    { ...SEALED, title: 'open' },
  ]) {
    assert.equal(await create({ sealed }), '400 malformed', JSON.stringify(sealed))
  }
  assert.equal(await create({ sealed: SEALED, password: 'p' }), '400 malformed')
  const one = await share(server, { sealed: { ...SEALED, door } })
  assert.equal(refusal(await one.amend({ password: 'p' })), '400 malformed')
  assert.equal((await one.amend({ expiresIn: 60 })).status, 200)
  assert.ok((await share(server, { sealed: null })).id)
})

testWith({}, 'sealed items come back as they were, and the server shows nothing of them', async (server) => {
  const one = await share(server, { sealed: SEALED })
  const viewer = await one.watch('?append=1')
  await viewer.reached(0)
  const sent = [item(ALONE, 1, 'AQE_-w'), item(MESSAGE, 2), item(PART, 3), item(`${PART}/0`, 4), item(`${ALONE}/12`, 5)]
  assert.equal((await one.put(...sent)).status, 200)
  await viewer.reached(sent.length)
  assert.deepEqual(
    [...viewer.holds],
    sent.map(({ data }) => [`sealed/${data.id}`, data]),
  )
  // In one form, however it was written.
  const written = String.raw`{"type":"sealed","data":{ "c": "AQE\u0042", "v": 9, "id": "${ALONE}" }}`
  assert.equal((await one.putText(written)).status, 200)
  assert.match((await one.ask('GET', '/items')).text, new RegExp(`{"id":"${ALONE}","v":9,"c":"AQEB"}`))

  const summary = (await one.ask('GET', '')).json
  assert.deepEqual(summary.sealed, { ...SEALED, locked: false })
  assert.deepEqual([summary.title, summary.status, summary.seq, summary.protected], [null, null, 6, undefined])
  const json = { headers: { accept: 'application/json' } }
  for (const answer of [
    await one.ask('GET', '/data'),
    await ask(server, 'GET', `/s/${one.id}.json`),
    await ask(server, 'GET', `/s/${one.id}`, json),
  ]) {
    assert.equal(refusal(answer), '403 sealed')
    assert.match(answer.json.error.message, /brutus-share read LINK/)
  }
  const page = await ask(server, 'GET', `/s/${one.id}`, { headers: { accept: 'text/html' } })
  assert.equal(page.status, 200)
  assert.match(page.text, /<title>An encrypted session<\/title>/)
  for (const hint of ['og:description', 'application/json"', '<noscript>', SEALED.check]) {
    assert.ok(!page.text.includes(hint), hint)
  }
})

testWith({ max_item: 10_000 }, 'what a sync may hold goes by whether its share is sealed', async (server) => {
  const [sealed, plain] = [await share(server, { sealed: SEALED }), await share(server)]
  for (const open of [
    session(),
    message('m'),
    { type: 'todo', data: { id: 't' } },
    { type: 'part.removed', data: {} },
  ]) {
    assert.equal(refusal(await sealed.put(item(ALONE, 1), open)), '409 sealed_mismatch', open.type)
  }
  for (const closed of [item(ALONE, 1), removal(ALONE), { type: 'sealed', data: null }]) {
    const answer = await plain.put(session(), part('m', 'p'), closed)
    assert.equal(refusal(answer), '409 sealed_mismatch')
    assert.match(answer.json.error.message, /data\[2\]/)
  }
  for (const data of [
    null,
    [],
    {},
    { v: 1, c: 'AQE' },
    { id: 'session', v: 1, c: 'AQE' },
    { id: `${ALONE}/`, v: 1, c: 'AQE' },
    { id: `${ALONE}/01`, v: 1, c: 'AQE' },
    { id: `${PART}/${MESSAGE}`, v: 1, c: 'AQE' },
    { id: ALONE, c: 'AQE' },
    { id: ALONE, v: 0, c: 'AQE' },
    { id: ALONE, v: 1.5, c: 'AQE' },
    { id: ALONE, v: '1', c: 'AQE' },
    { id: ALONE, v: 2 ** 53, c: 'AQE' },
    { id: ALONE, v: 1 },
    { id: ALONE, v: 1, c: '' },
    { id: ALONE, v: 1, c: 'not base64url' },
    { id: ALONE, v: 1, c: 7 },
    { id: ALONE, v: 1, c: 'AQE', title: 'open' },
  ]) {
    assert.equal(refusal(await sealed.put({ type: 'sealed', data })), '400 malformed', JSON.stringify(data))
  }
  for (const data of [`{"id":"${ALONE}","v":1.0,"c":"AQE"}`, `{"id":"${ALONE}","v":1,"v":2,"c":"AQE"}`]) {
    assert.equal(refusal(await sealed.putText(`{"type":"sealed","data":${data}}`)), '400 malformed', data)
  }
  for (const id of ['', 'session', `${ALONE}x`, 7]) {
    assert.equal(refusal(await sealed.put(removal(id))), '400 malformed', String(id))
  }
  assert.equal(refusal(await sealed.put(item(ALONE, 1, 'A'.repeat(10_000)))), '413 item_too_large')
  for (const one of [sealed, plain]) assert.equal((await one.items()).seq, 0, 'of a refused batch nothing is stored')
  assert.equal((await sealed.put(item(ALONE, 2 ** 53 - 1))).status, 200)
})

testWith({}, 'a version that is no newer takes nothing back', async (server) => {
  const one = await share(server, { sealed: SEALED })
  await one.put(item(ALONE, 3), item(MESSAGE, 9))
  const { seq } = await one.items()
  for (const late of [[item(MESSAGE, 8, 'b2xk')], [item(MESSAGE, 9, 'b2xk'), item(ALONE, 3)]]) {
    assert.equal((await one.put(...late)).status, 200)
  }
  assert.equal((await one.items()).seq, seq, 'an answer, and nothing new')
  // Both orders in one batch.
  await one.put(item(MESSAGE, 11, 'bmV3ZXI'), item(MESSAGE, 10, 'b2xk'), item(ALONE, 4), item(ALONE, 5))
  assert.deepEqual(await versions(one), { [MESSAGE]: 11, [ALONE]: 5 })
  assert.ok((await one.items()).items.some(({ data }) => data.c === 'bmV3ZXI'))
})

testWith({}, 'a removal takes what is below, and forgets versions', async (server) => {
  const one = await share(server, { sealed: SEALED })
  const put = async (...items) => assert.equal((await one.put(...items)).status, 200)
  await put(
    item(ALONE, 1),
    item(`${ALONE}/0`, 2),
    item(MESSAGE, 3),
    item(PART, 4),
    item(`${PART}/0`, 5),
    item(`${PART}/1`, 6),
  )
  const viewer = await one.watch()
  await viewer.reached(6)
  await put(removal(`${PART}/1`))
  assert.deepEqual(await versions(one), { [ALONE]: 1, [`${ALONE}/0`]: 2, [MESSAGE]: 3, [PART]: 4, [`${PART}/0`]: 5 })
  await put(removal(PART))
  assert.deepEqual(await versions(one), { [ALONE]: 1, [`${ALONE}/0`]: 2, [MESSAGE]: 3 })
  await put(item(PART, 1), item(`${PART}/0`, 1))
  // What the same batch brought goes too; what comes behind it stays.
  await put(item(`${PART}/1`, 2), removal(MESSAGE), item(`${PART}/2`, 1))
  const left = { [ALONE]: 1, [`${ALONE}/0`]: 2, [`${PART}/2`]: 1 }
  assert.deepEqual(await versions(one), left)
  await viewer.reached((await one.items()).seq)
  assert.deepEqual(Object.fromEntries([...viewer.holds.values()].map(({ id, v }) => [id, v])), left)
  await put(item(MESSAGE, 1))
  assert.equal((await versions(one))[MESSAGE], 1)
})
