// Share servers near by, on a network of network namespaces: announced, found, paired, found again, and not to be
// taken for another.

import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { PATIENCE } from '../lib/process.mjs'
import { BINARY } from '../lib/server.mjs'
import { Network, missing } from './network.mjs'

const file = (name) => fileURLToPath(new URL(name, import.meta.url))
const PYTHON = process.env.LAN_PYTHON ?? file('../../target/tests/lan/bin/python')
const TYPE = '_brutus-share._tcp'

const skip = await missing()
if (skip) console.log(`skipped: ${skip}`)

const story = (name, body) =>
  test(name, { skip, timeout: 2 * PATIENCE }, async (t) => {
    const network = await Network.of('nas', 'desk', 'laptop')
    t.after(() => network.close())
    await body(...network.hosts)
  })

/** Waits until something is so; gives it. */
async function until(what, told = () => '') {
  const end = Date.now() + PATIENCE
  for (;;) {
    const found = await what()
    if (found) return found
    if (Date.now() > end) assert.fail(`this never came to be: ${what}\n${told()}`)
    await sleep(20)
  }
}

/** What a host sees near by, once that is what it should be. */
const near = (host, isIt) =>
  until(async () => {
    const { code, stdout, stderr } = await host.share('servers', '--json')
    assert.equal(code, 0, stderr)
    const servers = JSON.parse(stdout)
    return isIt(servers) && servers
  })

const paired = async (host, name) => {
  await near(host, (servers) => servers.some((server) => [server.name, server.fingerprint].includes(name)))
  const done = await host.run(BINARY, ['pair', name], { input: 'y\n' })
  assert.equal(done.code, 0, done.stdout + done.stderr)
  return done
}

/** Shares a session of which nothing is known yet. */
const share = (host, session) => host.share('share', session, '--from-now')

const shared = async (host, session) => {
  const { code, stdout, stderr } = await share(host, session)
  assert.equal(code, 0, stderr + (await readFile(join(host.localDir, 'relay.log'), 'utf8').catch(() => '')))
  return stdout.trim().split('\n').at(-1)
}

const requests = ({ log }) => log.match(/^request .*$/gm) ?? []

const onlyAsked = (impostor) => {
  assert.ok(requests(impostor).length > 0, 'it was asked')
  const question = /^request GET \/api\/server\?nonce=[A-Za-z0-9_-]{16,64} $/
  for (const request of requests(impostor)) assert.match(request, question)
}

const answering = (host, how, url) =>
  host.start(process.execPath, [file('impostor.mjs'), '8090', how, ...(url ? [url] : [])], /^fingerprint=/m)

const said = (host, name, address, id) => {
  const record = ['version=1.0', 'api=brutus-share', 'security=none', `id=${id}`, `url=http://${address}:8090`]
  return host.start(PYTHON, [file('services.py'), 'say', name, address, '8090', ...record], /^said/m)
}

describe('near by', { concurrency: true }, () => {
  story('a server is announced as Saturn has it, until it ends', async (nas, desk) => {
    await nas.add('169.254.9.1/16')
    const browser = await desk.start(PYTHON, [file('services.py'), 'hear', `${TYPE}.local.`], /^hearing/m)
    const models = await desk.start(PYTHON, [file('services.py'), 'hear', '_saturn._tcp.local.'], /^hearing/m)
    const server = await nas.serve('--listen', ':8090', '--public-url', 'http://10.9.0.1:8090', '--insecure-http')
    const event = (key) => until(() => browser.log.split('\n').find((line) => line.startsWith(`{"${key}"`)))
    const { known, port, addresses, said } = JSON.parse(await event('known'))
    assert.deepEqual([known, port], [`nas.${TYPE}.local.`, 8090])
    assert.deepEqual(addresses.sort(), ['10.9.0.1', 'fd09::1'], 'neither loopback nor link-local')
    const { fingerprint } = server
    const record = {
      version: '1.0',
      api: 'brutus-share',
      features: 'live,markdown',
      priority: '50',
      security: 'none',
      health_endpoint: '/healthz',
      id: fingerprint,
      url: 'http://10.9.0.1:8090',
    }
    assert.deepEqual(said, record)

    const { stdout, stderr } = await desk.run('unshare', [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      file('avahi.sh'),
      TYPE,
    ])
    const heard = stdout.split('\n').filter((line) => line.startsWith('='))
    assert.ok(heard.length > 0, stdout + stderr)
    for (const line of heard) {
      const [, , , name, type, , host, address, port, txt] = line.split(';')
      assert.deepEqual([name, type, port], ['nas', TYPE, '8090'])
      assert.match(host, /^brutus-share-\S+\.local$/)
      assert.ok(['10.9.0.1', 'fd09::1'].includes(address), address)
      // As BRUTUS's older browser reads what `dns-sd -L` prints: pieces between blanks, at their first `=`.
      const pieces = txt.replaceAll('"', '').split(/\s+/)
      assert.deepEqual(Object.fromEntries(pieces.map((piece) => piece.split(/=(.*)/s, 2))), record)
    }
    // And which instances it takes from what `dns-sd -B` prints: of models alone.
    const line = `12:00:00.000  Add        2   4 local.               ${TYPE}.       nas`
    assert.ok(!line.includes('_saturn._tcp.') && !models.log.includes('known'), 'no model')

    assert.equal(await server.stop(), 0)
    assert.deepEqual(JSON.parse(await event('removed')), { removed: `nas.${TYPE}.local.` })
  })

  story('what only this machine reaches is not announced', async (nas) => {
    for (const listen of ['127.0.0.1:8090', 'localhost:8090', `unix:${nas.dir}/socket`]) {
      const args = ['serve', '--announce', '--listen', listen, '--data-dir', join(nas.dir, 'data')]
      const { code, stderr } = await nas.share(...args, '--public-url', 'https://share.example')
      assert.equal(code, 1, stderr)
      assert.match(stderr, /^error: .*listens for this machine alone: listen on an address of the network/m)
    }
  })

  story('from nothing to a link, after one yes', async (nas, desk, laptop) => {
    const server = await nas.serve('--listen', '10.9.0.1:8090', '--log', 'debug')
    const created = () => server.log.includes('POST /api/share')
    const [found] = await near(desk, (servers) => servers.length === 1)
    const url = 'http://10.9.0.1:8090'
    assert.deepEqual(found, { name: 'nas', url, fingerprint: server.fingerprint, security: 'none', paired: false })

    const { code, stdout, stderr } = await share(desk, 'ses_1')
    assert.deepEqual([code, stdout], [1, ''])
    assert.ok(stderr.includes(`nas (${url}, ${server.fingerprint})`) && stderr.includes('brutus-share pair'), stderr)
    for (const [input, words] of [
      ['', /nothing is paired/],
      ['n\n', /nothing is paired/],
    ]) {
      const declined = await desk.run(BINARY, ['pair', 'nas'], { input })
      assert.equal(declined.code, 1)
      assert.ok(declined.stdout.includes(url) && declined.stdout.includes(server.fingerprint), declined.stdout)
      assert.match(declined.stdout, /in clear/)
      assert.match(declined.stderr, words)
    }
    assert.equal((await share(desk, 'ses_1')).code, 1)
    assert.ok(!created(), 'nothing was sent to a server to which nobody said yes')

    await paired(desk, 'nas')
    assert.equal((await stat(join(desk.localDir, 'server.json'))).mode & 0o777, 0o600)
    // The relay runs, and had no server before.
    const link = await shared(desk, 'ses_1')
    assert.match(link, /^http:\/\/10\.9\.0\.1:8090\/s\/\w{22}$/)
    assert.equal((await laptop.fetch(`${link}.md`)).status, 200)
    assert.ok((await near(desk, (servers) => servers.length === 1))[0].paired)
    const start = await laptop.fetch('http://10.9.0.1:8090/', '-H', 'accept: text/html')
    assert.ok(start.text.includes(`brutus-share pair ${server.fingerprint}`), start.text)

    // Who goes by the fingerprint is not asked, but has to take it that nothing is sealed.
    const yes = ['pair', url, '--yes', '--fingerprint']
    const wrong = server.fingerprint.replace(/^./, (first) => (first === 'a' ? 'b' : 'a'))
    const refused = await laptop.share(...yes, wrong)
    assert.deepEqual([refused.code, refused.stderr.includes(wrong)], [1, true])
    assert.match((await laptop.share(...yes, server.fingerprint)).stderr, /accept that with --insecure-http/)
    assert.equal((await laptop.share(...yes, server.fingerprint, '--insecure-http')).code, 0)
    assert.match(await shared(laptop, 'ses_2'), /^http:\/\/10\.9\.0\.1:8090\/s\//)

    assert.equal((await desk.share('unpair')).code, 0)
    assert.equal((await share(desk, 'ses_3')).code, 1)
    assert.equal((await desk.relay('POST', '/v1/sessions/ses_1/flush')).status, 200, 'what is shared goes on')
    assert.equal((await desk.share('unshare', 'ses_1')).code, 0)
  })

  story('several servers, two of one name, by IPv6 alone, with a token and without', async (nas, desk, laptop) => {
    laptop.name = 'nas'
    const one = await nas.serve('--listen', '[fd09::1]:8090')
    await near(desk, (servers) => servers.length === 1)
    const config = join(laptop.dir, 'config.toml')
    await writeFile(config, 'create_tokens = true')
    const other = await laptop.serve('--listen', '0.0.0.0:8090', '--config', config)
    const servers = await near(desk, (servers) => servers.length === 2)
    assert.deepEqual(servers, [
      { name: 'nas', url: 'http://[fd09::1]:8090', fingerprint: one.fingerprint, security: 'none', paired: false },
      {
        name: 'nas (2)',
        url: 'http://10.9.0.3:8090',
        fingerprint: other.fingerprint,
        security: 'token',
        paired: false,
      },
    ])
    const { stdout } = await paired(desk, 'nas (2)')
    assert.match(stdout, /asks for a token/)
    assert.match((await share(desk, 'ses_1')).stderr, /needs a token/)
    const again = await paired(desk, one.fingerprint)
    assert.ok(again.stdout.includes(`takes the place of another server: http://10.9.0.3:8090  ${other.fingerprint}`))
    assert.match(await shared(desk, 'ses_1'), /^http:\/\/\[fd09::1\]:8090\/s\//)

    await writeFile(config, 'create_tokens = false')
    other.child.kill('SIGHUP')
    await near(desk, (servers) => servers.length === 2 && servers.every(({ security }) => security === 'none'))
    await paired(desk, 'nas (2)')
    await shared(desk, 'ses_2')
  })

  story('a paired server is found again, and who has its address gets nothing', async (nas, desk, laptop) => {
    const server = await nas.serve('--listen', '0.0.0.0:8090')
    await paired(desk, 'nas')
    await shared(desk, 'ses_1')
    const secret = JSON.parse(await readFile(join(desk.localDir, 'shares.json'), 'utf8'))[0].secret
    // The address leads elsewhere from one moment to the next.
    await nas.remove('10.9.0.1/24')
    await nas.add('10.9.0.7/24')
    await laptop.add('10.9.0.1/24')
    await desk.run('ip', ['neigh', 'flush', 'all'])
    const impostor = await answering(laptop, 'forward', 'http://10.9.0.7:8090')
    const messages = [{ role: 'user', content: 'Something private' }]
    assert.equal((await desk.relay('POST', '/v1/sessions/ses_1/messages', { messages })).status, 202)
    await until(async () => (await desk.relay('POST', '/v1/sessions/ses_1/flush')).status === 200)
    const [{ id }] = (await desk.relay('GET', '/v1/shares')).json
    assert.match((await desk.fetch(`http://10.9.0.7:8090/s/${id}.md`)).text, /Something private/)
    await shared(desk, 'ses_2')
    onlyAsked(impostor)
    assert.ok(!impostor.log.includes(secret) && !impostor.log.includes('private'))
    assert.equal((await desk.share('unshare', 'ses_1')).code, 0)
    assert.ok(server.log.includes('fingerprint='))
  })

  story('nobody else is taken for the paired server', async (nas, desk, laptop) => {
    const server = await nas.serve('--listen', '10.9.0.1:8090')
    const { fingerprint } = server
    await paired(desk, 'nas')
    await shared(desk, 'ses_1')
    const refused = async (...words) => {
      const { code, stderr } = await share(desk, `ses_${Math.random()}`)
      assert.equal(code, 1)
      for (const word of words) assert.ok(stderr.includes(word), `${word} is not in: ${stderr}`)
    }

    // While it runs, somebody announces its key at another address, and passes the questions on to it.
    const forwards = await answering(laptop, 'forward', 'http://10.9.0.1:8090')
    const liar = await said(laptop, 'nas-too', '10.9.0.3', fingerprint)
    const [, claims] = await near(desk, (servers) => servers.length === 2)
    assert.deepEqual([claims.name, claims.paired], ['nas-too', false])
    const forced = await desk.share('pair', 'nas-too', '--yes', '--fingerprint', fingerprint, '--insecure-http')
    assert.deepEqual([forced.code, /does not prove/.test(forced.stderr)], [1, true], forced.stderr)
    await forwards.stop()

    // It ends. What it said once is said again, there and at its own address.
    const recorded = await laptop.start(
      process.execPath,
      [file('impostor.mjs'), '8090', 'replay', 'http://10.9.0.1:8090'],
      /^fin/m,
    )
    await server.stop()
    await nas.remove('10.9.0.1/24')
    await laptop.add('10.9.0.1/24')
    await desk.run('ip', ['neigh', 'flush', 'all'])
    await refused(`claims the key ${fingerprint} and does not prove`)
    await recorded.stop()
    await liar.stop()

    // Another server, a true one, has its name and its address.
    const foreign = await answering(laptop, 'foreign')
    const key = foreign.log.match(/fingerprint=(\S+)/)[1]
    await said(laptop, 'nas', '10.9.0.1', key)
    await near(desk, (servers) => servers.some((server) => server.fingerprint === key))
    // Long enough that it is sought again.
    await sleep(5000)
    await refused(key, fingerprint, 'answers at http://10.9.0.1:8090', 'is announced as nas')
    const { stdout } = await desk.share('servers')
    assert.match(stdout, /NOT the paired one: its name, and another key/)
    // It can be paired, by who says yes to that.
    const changed = await desk.run(BINARY, ['pair', 'nas'], { input: 'n\n' })
    assert.ok(changed.stdout.includes('another server, of the same name') && changed.stdout.includes(fingerprint))

    for (const impostor of [forwards, recorded, foreign]) onlyAsked(impostor)
  })
})
