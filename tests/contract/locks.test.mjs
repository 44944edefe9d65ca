// What readers need besides the link, and who is let in without: PROTOCOL.md, "Passwords" and `PATCH`.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'

import { ask, askBare, cookieOf, from, part, refusal, session, share, start, testWith } from './target.mjs'

const PASSWORD = 'corréct horse: staple'
const TITLE = 'Kept close'
const HTML = { headers: { accept: 'text/html' } }
const UPGRADE = {
  connection: 'upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

const basic = (password) => ({ authorization: `Basic ${Buffer.from(`anyone:${password}`).toString('base64')}` })
const bearer = (text) => ({ authorization: `Bearer ${text}` })

/** A share with a password and something to read. */
async function locked(server, password = PASSWORD) {
  const one = await share(server, { password })
  await one.put(session({ title: TITLE }), part('m', 'p'))
  return one
}

/** A sealed share whose readers show these bytes for its phrase. */
async function sealed(server) {
  const bytes = randomBytes(32)
  const door = createHash('sha256').update(bytes).digest('base64url')
  const one = await share(server, { sealed: { version: 1, check: 'FZwZvxyPpSoL-KIRajSebg', door } })
  await one.put({ type: 'sealed', data: { id: 'Ou5P6BlENqI9Q1Lj8mnC3A', v: 1, c: 'AQEBAQEB' } })
  return Object.assign(one, { door: bytes.toString('base64url') })
}

/** Where the items of a share are read. */
const texts = (one) => [`${one.path}/data`, `${one.path}/items`, `/s/${one.id}.json`]

/** What reading a share's items answers. */
const reads = async (one, headers) => (await one.ask('GET', '/items', { headers })).status

testWith({}, 'a password stands between the link and what it opens', async (server) => {
  const one = await locked(server)
  for (const path of texts(one)) {
    // A browser asks in a box of its own where somebody goes to such an address, and never for the page.
    for (const [mode, asks] of [
      [undefined, true],
      ['navigate', true],
      ['cors', false],
      ['same-origin', false],
    ]) {
      const answer = await askBare(server, path, mode && { 'sec-fetch-mode': mode })
      assert.equal(refusal(answer), '401 password_needed', path)
      assert.equal(answer.headers.get('www-authenticate')?.startsWith('Basic realm="share"') ?? false, asks, mode)
    }
  }
  const json = await ask(server, 'GET', `/s/${one.id}`, { headers: { accept: 'application/json' } })
  assert.equal(refusal(json), '401 password_needed')
  assert.equal(refusal(await askBare(server, `${one.path}/poll`, UPGRADE)), '401 password_needed')
  assert.deepEqual((await one.ask('GET', '')).json, { id: one.id, title: null, protected: true })
  const page = await ask(server, 'GET', `/s/${one.id}`, HTML)
  assert.equal(page.status, 200)
  assert.match(page.text, /<title>A protected session<\/title>/)
  for (const hint of [TITLE, 'og:description', 'application/json"', '<noscript>']) {
    assert.ok(!page.text.includes(hint), hint)
  }
  for (const password of [`${PASSWORD} `, 'staple']) {
    const answer = await askBare(server, `${one.path}/items`, basic(password))
    assert.equal(refusal(answer), '401 wrong_password')
    assert.match(answer.headers.get('www-authenticate'), /^Basic/)
    assert.ok(!answer.text.includes('staple'))
  }
  assert.equal(refusal(await one.ask('GET', '', { headers: basic('staple') })), '401 wrong_password')
  for (const odd of [
    bearer(randomBytes(32).toString('base64url')),
    { authorization: 'Basic !' },
    { cookie: 'share=1' },
  ]) {
    assert.equal(refusal(await one.ask('GET', '/items', { headers: odd })), '401 password_needed')
  }
})

testWith({}, 'who has opened it has a cookie, or shows the password with each request', async (server) => {
  const [one, other] = [await locked(server), await locked(server)]
  for (const wrong of [
    {},
    [],
    { password: 7 },
    { password: '' },
    '{"password":"p","data":tru}',
    { password: 'p', door: 'd' },
    { password: 'x'.repeat(1025) },
  ]) {
    assert.equal(refusal(await one.open(wrong)), '400 malformed', JSON.stringify(wrong).slice(0, 80))
  }
  const wrong = await one.open({ password: 'staple' })
  assert.equal(refusal(wrong), '401 wrong_password')
  assert.deepEqual([wrong.headers.get('www-authenticate'), wrong.headers.get('set-cookie')], [null, null])
  const opened = await one.open({ password: PASSWORD })
  assert.deepEqual([opened.status, opened.text, opened.headers.get('cache-control')], [200, '{}', 'no-store'])
  const [pair, ...attributes] = opened.headers.get('set-cookie').split('; ')
  assert.ok(pair.startsWith(`share_${one.id}=`))
  assert.deepEqual(attributes.sort(), ['HttpOnly', 'Max-Age=43200', 'Path=/', 'SameSite=Strict'])
  for (const shown of [{ cookie: `a=b; ${pair};c=d` }, { cookie: `${pair}x; ${pair}` }, basic(PASSWORD)]) {
    for (const path of texts(one)) {
      const answer = await ask(server, 'GET', path, { headers: { origin: 'https://evil.example', ...shown } })
      assert.equal(answer.status, 200, path)
      assert.ok(answer.text.includes(TITLE))
      // Not for pages of others.
      assert.equal(answer.headers.get('access-control-allow-origin'), null, path)
    }
    const summary = (await one.ask('GET', '', { headers: shown })).json
    assert.deepEqual([summary.title, summary.protected, summary.seq], [TITLE, true, 2])
    assert.match((await ask(server, 'GET', `/s/${one.id}`, HTML)).text, /A protected session/)
    const viewer = await one.watch('', shown)
    await viewer.reached(2)
    viewer.close()
  }
  // It is of one share, and nobody can make one.
  const [, end, tag] = /=(\d+)(.*)/.exec(pair)
  const renamed = pair.replace(one.id, other.id)
  for (const cookie of [pair, renamed, `share_${other.id}=`]) assert.equal(await reads(other, { cookie }), 401)
  for (const value of [`${Number(end) + 1}${tag}`, `${end}${tag.slice(0, -2)}`, `${end}.`, end, '.', '']) {
    assert.equal(await reads(one, { cookie: `share_${one.id}=${value}` }), 401, value)
  }
  assert.equal((await one.put(part('m', 'q'))).status, 200, 'writing needs the secret alone')
  assert.equal((await one.remove()).status, 200)
  assert.equal(refusal(await one.open({ password: PASSWORD })), '404 no_such_share')
  assert.equal(await reads(one, { cookie: pair }), 404)
})

testWith({ public_url: 'https://share.example' }, 'over https a cookie is for https alone', async (server) => {
  const one = await locked(server)
  assert.match((await one.open({ password: PASSWORD })).headers.get('set-cookie'), /; Secure/)
})

testWith({}, 'a share that has no lock is open, and gives no cookie', async (server) => {
  const one = await share(server)
  const opened = await one.open({ password: 'p' })
  assert.deepEqual([opened.status, opened.headers.get('set-cookie')], [200, null])
  assert.equal(await reads(one, basic('p')), 200)
  const answer = await one.ask('GET', '/items', { headers: { origin: 'https://wiki.example' } })
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
})

testWith({}, 'what opens the door of a sealed share is shown, and no password is', async (server) => {
  const one = await sealed(server)
  const summary = (await one.ask('GET', '')).json
  assert.deepEqual(Object.keys(summary).sort(), ['id', 'sealed', 'title'])
  assert.deepEqual([summary.title, summary.sealed.locked], [null, true])
  const answer = await askBare(server, `${one.path}/items`)
  assert.equal(refusal(answer), '401 password_needed')
  assert.equal(answer.headers.get('www-authenticate'), null, 'no browser can ask for it')
  // A token by which shares are created is no try.
  for (const shown of [bearer('bst_0123456789abcdefghijklmnopqrstuv'), basic(one.door), { authorization: 'Bearer' }]) {
    assert.equal(refusal(await one.ask('GET', '/items', { headers: shown })), '401 password_needed')
  }
  const another = randomBytes(32).toString('base64url')
  assert.equal(refusal(await one.ask('GET', '/items', { headers: bearer(another) })), '401 wrong_password')
  assert.equal(refusal(await one.open({ door: another })), '401 wrong_password')
  assert.equal(refusal(await one.open({ door: 'short' })), '400 malformed')
  assert.equal(refusal(await one.open({ password: one.door })), '401 password_needed')
  const cookie = cookieOf(await one.open({ door: one.door }))
  for (const shown of [cookie, bearer(one.door)]) {
    assert.match((await one.ask('GET', '/items', { headers: shown })).text, /AQEBAQEB/)
    const opened = (await one.ask('GET', '', { headers: shown })).json
    assert.deepEqual([opened.seq, opened.sealed.locked], [1, true])
    for (const path of [`${one.path}/data`, `/s/${one.id}.json`]) {
      for (const headers of [shown, {}])
        assert.equal(refusal(await ask(server, 'GET', path, { headers })), '403 sealed')
    }
    const viewer = await one.watch('', shown)
    await viewer.reached(1)
    viewer.close()
  }
  assert.match((await ask(server, 'GET', `/s/${one.id}`, HTML)).text, /<title>An encrypted session<\/title>/)
})

testWith({}, 'another password ends what an older one opened, and sends away who watches', async (server) => {
  const one = await share(server)
  await one.put(session({ title: TITLE }))
  let viewer = await one.watch()
  const [cookies, sentAway] = [[], []]
  for (const [at, password] of ['first', 'second', 'second'].entries()) {
    await viewer.reached(at + 1)
    assert.equal((await one.amend({ password })).status, 200)
    assert.equal((await one.put(part('m', `p${at}`))).status, 200)
    for (const cookie of [{}, ...cookies]) assert.equal(await reads(one, cookie), 401)
    const cookie = cookieOf(await one.open({ password }))
    cookies.push(cookie)
    sentAway.push(viewer)
    viewer = await one.watch('', cookie)
  }
  for (const [at, gone] of sentAway.entries()) {
    await gone.ended()
    assert.deepEqual([gone.code, gone.holds.has(`part/m/p${at}`)], [1012, false])
  }
  await viewer.reached(4)
  viewer.close()
  assert.equal(await reads(one, basic('first')), 401)
  assert.equal((await one.amend({ password: null })).status, 200)
  assert.equal(await reads(one), 200)
  assert.equal((await one.ask('GET', '')).json.title, TITLE)
  assert.match((await ask(server, 'GET', `/s/${one.id}`, HTML)).text, new RegExp(TITLE))
})

testWith({}, 'an end is set and taken away, by who has the secret', async (server) => {
  const one = await locked(server)
  const end = async () => (await one.ask('GET', '', { headers: basic(PASSWORD) })).json.expiresAt
  assert.equal(await end(), null)
  assert.equal((await one.amend({ expiresIn: 3600 })).status, 200)
  assert.ok(Math.abs((await end()) - Date.now() - 3_600_000) < 60_000)
  assert.equal((await one.amend({ password: 'another' })).status, 200)
  const summary = (await one.ask('GET', '', { headers: basic('another') })).json
  assert.notEqual(summary.expiresAt, null, 'what is left out stays')
  assert.equal((await one.amend({ expiresIn: null, password: PASSWORD })).status, 200)
  assert.equal(await end(), null)
  for (const change of [
    {},
    { expiresIn: 0 },
    { expiresIn: '60' },
    { password: '' },
    { password: 7 },
    { password: 'x'.repeat(1025) },
  ]) {
    assert.equal(refusal(await one.amend(change)), '400 malformed', JSON.stringify(change).slice(0, 80))
  }
  assert.equal(refusal(await one.amend({ secret: crypto.randomUUID(), password: null })), '401 wrong_secret')
  assert.equal(await reads(one), 401)
  const viewer = await one.watch('', basic(PASSWORD))
  assert.equal((await one.amend({ expiresIn: 1 })).status, 200)
  await viewer.ended()
  assert.deepEqual([viewer.frames.at(-1), viewer.code], [{ type: 'closed', reason: 'expired' }, 4410])
  assert.equal(refusal(await one.amend({ expiresIn: null })), '404 no_such_share')
})

testWith({ max_lifetime: 1000 }, 'no end is later than the longest', async (server) => {
  const one = await share(server)
  const left = async () => Math.round(((await one.ask('GET', '')).json.expiresAt - Date.now()) / 100_000)
  for (const expiresIn of [5000, null]) {
    assert.equal((await one.amend({ expiresIn })).status, 200)
    assert.equal(await left(), 10, String(expiresIn))
  }
})

testWith({}, 'an owner reads by the secret', async (server) => {
  for (const one of [await locked(server), await sealed(server)]) {
    const own = bearer(one.secret)
    assert.equal(await reads(one, own), 200)
    assert.ok((await one.ask('GET', '', { headers: own })).json.seq > 0)
    const viewer = await one.watch('', own)
    await viewer.reached(1)
    viewer.close()
    const another = { headers: bearer(crypto.randomUUID()) }
    for (const path of ['', '/items', '/data']) {
      assert.equal(refusal(await one.ask('GET', path, another)), '401 wrong_secret', path)
    }
  }
})

testWith({ trusted_proxies: '127.0.0.1' }, 'guessing is limited by address and by share', async (server) => {
  const one = await locked(server)
  const guess = (address, password = 'guess') => one.open({ password }, from(address))
  for (let n = 0; n < 12; n++) {
    const answer = await guess('192.0.2.1')
    assert.equal(refusal(answer), n < 10 ? '401 wrong_password' : '429 too_many_tries', String(n))
    const wait = Number(answer.headers.get('retry-after') ?? 0)
    assert.ok(n < 10 ? wait === 0 : wait > 0 && wait <= 60, String(wait))
  }
  // What is right counts for nobody, and is not looked at while too many were wrong.
  assert.equal(refusal(await guess('192.0.2.1', PASSWORD)), '429 too_many_tries')
  for (let n = 0; n < 12; n++) assert.equal((await guess('192.0.2.2', PASSWORD)).status, 200)
  // The networks of one owner are one.
  for (let n = 0; n < 10; n++) assert.equal(refusal(await guess(`2001:db8::${n}`)), '401 wrong_password')
  assert.equal(refusal(await guess('2001:db8:0:0:1:2:3:4')), '429 too_many_tries')
  assert.equal(refusal(await guess('2001:db8:0:1::1')), '401 wrong_password')
})

testWith({ trusted_proxies: '127.0.0.1' }, 'of a share many addresses together guess as often', async (server) => {
  const [one, other] = [await sealed(server), await sealed(server)]
  const cookie = cookieOf(await one.open({ door: one.door }, from('203.0.113.9')))
  const wrong = bearer(randomBytes(32).toString('base64url'))
  for (let n = 0; n < 100; n++) {
    const answer = await one.ask('GET', '/items', { headers: { ...wrong, ...from(`198.51.100.${n}`) } })
    assert.equal(refusal(answer), '401 wrong_password', String(n))
  }
  const answer = await one.open(
    { door: one.door.replace(/^./, (sign) => (sign === 'A' ? 'B' : 'A')) },
    from('203.0.113.1'),
  )
  assert.equal(refusal(answer), '429 too_many_tries')
  assert.ok(Number(answer.headers.get('retry-after')) > 0)
  // Who has opened it lately, and who writes, notices nothing of that; nor do other shares.
  assert.equal(await reads(one, cookie), 200)
  assert.equal(await reads(one, { ...bearer(one.door), ...from('203.0.113.2') }), 200)
  assert.equal((await one.put()).status, 200)
  assert.equal((await other.open({ door: other.door }, from('203.0.113.1'))).status, 200)
})

const skip = process.env.BASE_URL ? 'cannot be started again' : false

test('a restart keeps locks, and who has opened them', { skip }, async (t) => {
  const server = await start()
  t.after(() => server.close())
  const shares = [await locked(server), await sealed(server)]
  const cookies = []
  for (const [at, key] of [{ password: PASSWORD }, { door: shares[1].door }].entries()) {
    cookies.push(cookieOf(await shares[at].open(key)))
  }
  await server.stop('SIGTERM')
  await server.restart()
  for (const [at, one] of shares.entries()) {
    assert.deepEqual([await reads(one), await reads(one, cookies[at])], [401, 200])
  }
  assert.equal(await reads(shares[0], basic(PASSWORD)), 200)
  assert.equal(await reads(shares[1], bearer(shares[1].door)), 200)
})
