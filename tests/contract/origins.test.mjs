// What other web pages may do, the headers that stand on answers, and the viewer's page.

import assert from 'node:assert/strict'

import { ask, refusal, session, share, testWith } from './target.mjs'

const ELSEWHERE = { origin: 'https://evil.example' }

testWith(
  { public_url: 'https://share.example/base' },
  'pages of other origins read what a link opens and write nothing',
  async (server) => {
    const one = await share(server)
    assert.equal(
      (await ask(server, 'POST', '/api/share', { body: { sessionID: 's' } })).json.url.slice(0, 29),
      'https://share.example/base/s/',
    )
    await one.put(session())
    const body = { secret: one.secret, data: [session({ title: 'theirs' })] }
    for (const [method, path] of [
      ['POST', '/api/share'],
      ['POST', `${one.path}/sync`],
      ['POST', `${one.path}/open`],
      ['PATCH', one.path],
      ['DELETE', one.path],
    ]) {
      for (const origin of ['https://evil.example', 'null', 'http://localhost:1', 'https://share.example.evil']) {
        assert.equal(
          refusal(await ask(server, method, path, { body, headers: { origin } })),
          '403 forbidden',
          `${method} ${path} ${origin}`,
        )
      }
    }
    for (const origin of ['https://share.example', new URL(server.url).origin]) {
      assert.equal((await one.ask('POST', '/sync', { body, headers: { origin } })).status, 200, origin)
    }
    for (const path of [one.path, `${one.path}/data`, `${one.path}/items`, `/s/${one.id}.json`]) {
      const { status, headers } = await ask(server, 'GET', path, { headers: ELSEWHERE })
      assert.deepEqual([status, headers.get('access-control-allow-origin')], [200, '*'], path)
      assert.equal(headers.get('access-control-allow-credentials'), null)
      assert.match(headers.get('access-control-expose-headers'), /etag/)
      const asks = {
        ...ELSEWHERE,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'if-none-match',
      }
      const preflight = await ask(server, 'OPTIONS', path, { headers: asks })
      assert.equal(preflight.status, 204)
      assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
      assert.match(preflight.headers.get('access-control-allow-headers'), /if-none-match/)
    }
    for (const path of [`/s/${one.id}`, `${one.path}/sync`, '/api/share']) {
      const { headers } = await ask(server, 'GET', path, { headers: { ...ELSEWHERE, accept: 'text/html' } })
      assert.equal(headers.get('access-control-allow-origin'), null, path)
    }
    const posting = { ...ELSEWHERE, 'access-control-request-method': 'POST' }
    const preflight = await ask(server, 'OPTIONS', `${one.path}/sync`, { headers: posting })
    assert.equal(preflight.headers.get('access-control-allow-origin'), null)
  },
)

testWith({}, 'security headers stand on every answer', async (server) => {
  const one = await share(server)
  await one.put(session())
  const start = await ask(server, 'GET', '/', { headers: { accept: 'text/html' } })
  const [styles] = /assets\/[^"]+page\.css/.exec(start.text)
  for (const path of ['/', `/s/${one.id}`, `/${styles}`, one.path, `${one.path}/data`, '/nothing', '/healthz']) {
    const { headers } = await ask(server, 'GET', path, { headers: { accept: 'text/html' } })
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path)
    assert.equal(headers.get('referrer-policy'), 'no-referrer', path)
    assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin', path)
  }
})

const POLICY = {
  'default-src': "'none'",
  'script-src': "'self'",
  'worker-src': "'self'",
  'style-src': "'self'",
  'img-src': "'self' data: blob:",
  'connect-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
  'require-trusted-types-for': "'script'",
  'trusted-types': 'viewer dompurify',
}
const policyOf = ({ headers }) =>
  Object.fromEntries(
    headers
      .get('content-security-policy')
      .split('; ')
      .map((rule) => rule.split(/ (.*)/s).slice(0, 2)),
  )

testWith({}, 'the page leads to its files, which may be kept for ever, and may do nothing else', async (server) => {
  const one = await share(server)
  await one.put(session({ title: `</title><script>alert(1)</script>` }))
  const html = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } }
  for (const path of [`/s/${one.id}`, `/share/${one.id}`, `/embed/${one.id}`]) {
    const page = await ask(server, 'GET', path, html)
    assert.equal(page.status, 200)
    assert.deepEqual(policyOf(page), POLICY)
    assert.match(page.headers.get('content-type'), /^text\/html; ?charset=utf-8$/i)
    assert.equal(page.headers.get('cache-control'), 'no-store')
    assert.equal(page.headers.get('x-robots-tag'), 'noindex')
    assert.match(page.headers.get('vary'), /accept/)
    assert.ok(!page.text.includes('<script>alert'), 'a title is text')
    assert.ok(!page.text.includes('<!--'), 'no place is left empty')
    const scripts = [...page.text.matchAll(/<script[^>]*>/g)].map(([tag]) => tag)
    assert.deepEqual(scripts.length, 1)
    const files = [...page.text.matchAll(/(?:href|src)="\.\.\/(assets\/[^"]+)"/g)].map(([, path]) => path)
    assert.ok(files.length > 20, String(files.length))
    for (const file of new Set(files)) {
      const { status, headers, text } = await ask(server, 'GET', `/${file}`)
      assert.equal(status, 200, file)
      assert.match(headers.get('cache-control'), /immutable/, file)
      assert.deepEqual(policyOf({ headers }), POLICY, file)
      const kind = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }[file.split('.').at(-1)]
      assert.ok(headers.get('content-type').startsWith(kind), `${file} ${headers.get('content-type')}`)
      assert.ok(text.length > 0)
    }
    // A path of another version, or of none, leads to what is there now.
    const script = files.find((file) => file.endsWith('app.js'))
    const now = await ask(server, 'GET', `/${script}`)
    for (const version of ['0123456789abcdef/', '']) {
      const other = await ask(server, 'GET', `/assets/${version}app.js`)
      assert.deepEqual([other.status, other.text, other.headers.get('cache-control')], [200, now.text, 'no-cache'])
    }
  }
  const missing = await ask(server, 'GET', '/s/0123456789abcdefABCDEF', html)
  assert.deepEqual([missing.status, policyOf(missing)], [404, POLICY])
  assert.match(missing.text, /There is no such session/)
})

testWith({}, 'links have formats, and forgive what stands behind them', async (server) => {
  const one = await share(server)
  await one.put(session())
  const data = await one.data()
  assert.deepEqual((await ask(server, 'GET', `/s/${one.id}.json`)).json, data)
  assert.deepEqual((await ask(server, 'GET', `/s/${one.id}`, { headers: { accept: 'application/json' } })).json, data)
  const accepts = async (accept) =>
    (await ask(server, 'GET', `/s/${one.id}`, { headers: { accept } })).headers.get('content-type')
  assert.match(await accepts('application/json;q=0.5, text/html'), /html/)
  assert.match(await accepts('text/html;q=0.5, application/json'), /json/)
  assert.match(await accepts('*/*'), /html/)
  for (const behind of ['/', '.', ',', ')', ';', ':']) {
    const answer = await ask(server, 'GET', `/s/${one.id}${behind}?x=1`, { headers: { accept: 'text/html' } })
    const target = new URL(answer.headers.get('location'), `${server.url}/s/${one.id}${behind}`)
    assert.deepEqual([answer.status, target.pathname, target.search], [308, `/s/${one.id}`, '?x=1'], behind)
  }
  const markdown = await ask(server, 'GET', `/s/${one.id}.md`)
  // Who does not write Markdown says so.
  if (markdown.status !== 200) assert.equal(refusal(markdown), '501 unknown_format')
  else assert.match(markdown.text, /A session/)
  assert.equal(refusal(await ask(server, 'GET', '/')), '404 no_such_path')
})

testWith(
  { frame_ancestors: 'https://wiki.example' },
  'whose pages may frame a session is its operator’s choice',
  async (server) => {
    const one = await share(server)
    const page = await ask(server, 'GET', `/s/${one.id}`, { headers: { accept: 'text/html' } })
    assert.match(policyOf(page)['frame-ancestors'], /https:\/\/wiki\.example/)
  },
)
