// The page shows a session and goes on showing it, whatever becomes of the server.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  answer,
  live,
  openPage,
  openShare,
  prompt,
  recordedBatches,
  session,
  setUp,
  shareRecorded,
  text,
  titled,
} from '../lib/browser.mjs'
import { shareLarge } from '../lib/large.mjs'
import { Proxy } from '../lib/proxy.mjs'
import { Server } from '../lib/server.mjs'

const { browser, server } = await setUp()

test('the recorded session shows: title, prompts, answers, tools, image, errors', async () => {
  const share = await shareRecorded(server)
  const page = await openShare(browser, share)
  await titled(page, /^Greeting script session$/)
  assert.equal(await page.locator('.head h1').textContent(), 'Greeting script session')
  assert.equal(await page.locator('.turn').count(), 3)
  assert.deepEqual(await page.locator('.outline .label').allTextContents(), [
    'Write a greeting script and test it',
    'Now add a README and have it reviewed',
    'What is in this image? Then run the build.',
  ])
  const parts = (await recordedBatches())
    .flat()
    .filter(({ type, data }) => type === 'part' && ['text', 'tool', 'reasoning'].includes(data.type))
  for (const { data } of parts) {
    const shown = page.locator(`[id="${data.id}"]`)
    if (data.messageID === parts[0].data.messageID && data.type === 'text') continue
    if (data.type === 'tool') assert.equal(await shown.count(), 1, `${data.tool} ${data.id}`)
  }
  await page.locator('.picture img').first().scrollIntoViewIfNeeded()
  await page.waitForFunction(() => document.querySelector('.picture img')?.naturalWidth > 0)
  await page.locator('[data-tool=webfetch]').first().scrollIntoViewIfNeeded()
  assert.match(await page.locator('[data-tool=webfetch] .error-text').first().textContent(), /Transport error/)
  await page.locator('.markdown table').first().waitFor()
  assert.equal(await page.locator('.markdown script').count(), 0)
  assert.deepEqual(page.record.errors, [])
  assert.deepEqual([...page.record.hosts], [server.address])
})

test('what is synced later appears within a second, and a growing text grows in place', async () => {
  const share = await server.share()
  const page = await openShare(browser, share)
  await page.getByText('Waiting for the first messages').waitFor()
  const asked = prompt('What is the time?')
  await share.sync(session({ title: 'Clock' }), ...asked)
  await page.getByText('What is the time?').first().waitFor({ timeout: 1000 })
  assert.ok(await page.locator('.empty').isHidden())

  const reply = answer([text('It is')])
  await share.sync(...reply)
  const body = page.locator(`[id="${reply[1].data.id}"] .markdown`)
  await body.waitFor({ timeout: 1000 })
  const handle = await body.elementHandle()
  reply[1].data.text = 'It is **noon**.'
  await share.sync(...reply)
  await page.locator('.markdown strong').waitFor({ timeout: 1000 })
  assert.ok(await handle.evaluate((node) => node.isConnected), 'the same element')
  await titled(page, /Clock$/)

  await share.sync({ type: 'part.removed', data: { messageID: reply[0].data.id, id: reply[1].data.id } })
  await body.waitFor({ state: 'detached' })
})

test('a server that stops and starts again is found again, and nothing is missing or doubled', async () => {
  const server = await Server.start()
  try {
    const share = await server.share()
    await share.sync(session(), ...prompt('Before the restart'), ...answer([text('old answer')]))
    const page = await openShare(browser, share)
    assert.equal(await server.stop(), 0)
    await page.locator('.state[data-state=reconnecting]').waitFor()
    await server.restart()
    await share.sync(...prompt('After the restart'), ...answer([text('new answer')]))
    await live(page)
    await page.locator('.answer').getByText('new answer').waitFor()
    assert.deepEqual(await page.locator('.prompt-text').allTextContents(), ['Before the restart', 'After the restart'])
    assert.equal(await page.locator('.part-text').count(), 2)
    assert.deepEqual(page.record.errors, [])
  } finally {
    await server.close()
  }
})

test('a proxy that answers 404 for a while ends nothing: the page reconnects by itself', async () => {
  const share = await server.share()
  await share.sync(session(), ...prompt('Before'), ...answer([text('old answer')]))
  const proxy = await Proxy.start(server.url)
  try {
    const page = await openPage(browser)
    await page.goto(`${proxy.url}/s/${share.id}`)
    await live(page)
    let lies = 0
    const enough = new Promise((resolve) => {
      proxy.answer = () => {
        if ((lies += 1) > 1) resolve()
        return { status: 404, type: 'text/plain', body: '404 page not found' }
      }
    })
    proxy.cut()
    await page.locator('.state[data-state=reconnecting]').getByText('Reconnecting').waitFor()
    await share.sync(...prompt('Meanwhile'))
    await enough
    assert.equal(await page.locator('.state').getAttribute('data-state'), 'reconnecting')
    assert.ok(await page.getByText('old answer').isVisible())
    proxy.answer = () => undefined
    await live(page)
    await page.locator('.prompt-text').getByText('Meanwhile').waitFor()
    assert.deepEqual(page.record.errors, [])
  } finally {
    await proxy.close()
  }
})

test('a page that comes to the front or online while it loads has one socket, and loads nothing twice', async () => {
  const share = await shareLarge(server, 400, 4 << 20)
  const message = { type: 'message', data: { id: 'msg_9', role: 'assistant', time: { created: 2e12 } } }
  const streamed = (words) => ({ type: 'part', data: { id: 'prt_9', messageID: 'msg_9', type: 'text', text: words } })
  await share.sync(message, streamed('One'))
  const proxy = await Proxy.start(server.url)
  try {
    const page = await openPage(browser)
    let pages = 0
    proxy.answer = async ({ path }) => {
      if (path.includes('/items') && (pages += 1) === 3) {
        await page.evaluate(() => {
          for (const [name, target] of [
            ['online', window],
            ['visibilitychange', document],
            ['online', window],
          ])
            target.dispatchEvent(new Event(name))
        })
      }
    }
    await page.goto(`${proxy.url}/s/${share.id}`)
    await live(page)
    const loaded = pages
    assert.ok(loaded >= 4, `${loaded} pages`)
    let words = 'One'
    for (let at = 0; at < 10; at++) await share.sync(streamed((words += ` word ${at}`)))
    await page.waitForFunction(
      (words) => document.querySelector('[id=prt_9] .markdown')?.textContent.trim() === words,
      words,
    )
    const { json } = await server.request('GET', `/api/share/${share.id}`)
    assert.deepEqual([pages - loaded, proxy.count(/\/poll/), proxy.open, json.viewers], [0, 1, 1, 1])
  } finally {
    await proxy.close()
  }
})

test('a page that was offline is current again by itself', async () => {
  const share = await server.share()
  await share.sync(session(), ...prompt('one'))
  const page = await openShare(browser, share)
  await page.context().setOffline(true)
  await page.evaluate(() => dispatchEvent(new Event('offline')))
  await page.locator('.state[data-state=offline]').waitFor()
  await share.sync(...prompt('two'))
  await page.context().setOffline(false)
  await page.evaluate(() => dispatchEvent(new Event('online')))
  await page.locator('.prompt-text').getByText('two').waitFor()
  await live(page)
})

test('a streamed answer comes as what is added and shows whole', async () => {
  const share = await server.share()
  const streamed = (words) => ({ type: 'part', data: { id: 'prt_9', messageID: 'msg_9', type: 'text', text: words } })
  await share.sync(
    session(),
    { type: 'message', data: { id: 'msg_9', role: 'assistant', time: { created: 9 } } },
    streamed('One, é, 🙂'),
  )
  const page = await openPage(browser)
  const frames = []
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(JSON.parse(payload))))
  await page.goto(share.url)
  await live(page)
  let whole = 'One, é, 🙂'
  for (const more of [' two', ', 🙃 three', ' **four**']) {
    whole += more
    await share.sync(streamed(whole))
    await page.waitForFunction(
      (last) => document.querySelector('.part-text')?.textContent.includes(last),
      more.replaceAll('*', '').trim(),
    )
  }
  assert.equal((await page.locator('.part-text .markdown').textContent()).trim(), whole.replaceAll('*', ''))
  assert.equal(await page.locator('.part-text strong').textContent(), 'four')
  const added = frames.flatMap(({ items }) => items ?? []).map(({ append }) => append?.text)
  assert.deepEqual(added, [' two', ', 🙃 three', ' **four**'])
  assert.deepEqual(page.record.errors, [])
})

test('a deleted share says so and keeps what is shown; its link says so too', async () => {
  const share = await server.share()
  await share.sync(session(), ...prompt('soon gone'))
  const page = await openShare(browser, share)
  await share.delete()
  await page.getByText('This session is no longer shared').waitFor()
  assert.ok(await page.locator('.prompt-text').isVisible())
  const answer = await page.goto(share.url)
  assert.equal(answer.status(), 404)
  await page.getByRole('heading', { name: 'There is no such session' }).waitFor()
})

test('a share that ends says when, and that it has', async () => {
  const brief = await Server.start('--sweep-interval', '100ms', '--default-lifetime', '1h')
  try {
    const share = await brief.share()
    await share.sync(session(), ...prompt('for a while'))
    const page = await openShare(browser, share)
    await page
      .locator('.facts')
      .getByText(/Ends in (60|59) min|Ends in 1 hr/)
      .waitFor()
    // Sooner than that, as its owner has it while it is read.
    const { id, secret } = share
    await brief.request('PATCH', `/api/share/${id}`, { secret, expiresIn: 1 })
    await page.getByText('This share has expired').waitFor()
    assert.ok(await page.locator('.prompt-text').isVisible())
  } finally {
    await brief.close()
  }
})

test('a link to nothing answers 404 with a page that says so', async () => {
  const page = await openPage(browser)
  for (const path of ['/s/0123456789abcdefghijkl', '/share/nonsense']) {
    assert.equal((await page.goto(server.url + path)).status(), 404)
    await page.getByRole('heading', { name: 'There is no such session' }).waitFor()
  }
  assert.deepEqual(page.record.errors, [])
})

test('viewers are counted', async () => {
  const share = await server.share()
  const one = await openShare(browser, share)
  const two = await openShare(browser, share)
  await one.getByText('2 watching').waitFor()
  await two.close()
  await one.getByText('1 watching').waitFor()
})

test('the head says what the agent does, and what it left when it went did not finish', async () => {
  const share = await server.share()
  const status = (state, data = {}) => ({ type: 'status', data: { state, at: Date.now(), ...data } })
  const tool = {
    ...{ id: 'prt_t', messageID: 'msg_a', type: 'tool', tool: 'bash', callID: 'c' },
    state: { status: 'running', input: { command: 'make' }, time: { start: Date.now() } },
  }
  await share.sync(
    session({ title: 'Build' }),
    ...prompt('Build it'),
    { type: 'message', data: { id: 'msg_a', role: 'assistant', time: { created: Date.now() } } },
    { type: 'part', data: tool },
    { type: 'part', data: { ...tool, id: 'prt_timeless', state: { ...tool.state, time: undefined } } },
    { type: 'message', data: { id: 'msg_b', role: 'assistant', time: { created: Date.now() }, error: { name: 'X' } } },
    { type: 'part', data: { ...tool, id: 'prt_left', messageID: 'msg_b' } },
    { type: 'agent', data: { name: 'brutus', version: '1.2' } },
    status('busy'),
  )
  const page = await openShare(browser, share)
  const activity = page.locator('.top .activity')
  await activity.getByText('Running make').waitFor()
  await titled(page, /^● Running – Build$/)
  await page.locator('.facts').getByText('brutus 1.2').waitFor()
  await page.locator('#prt_t .busy').getByText('running').first().waitFor()
  await page.locator('#prt_left .busy').getByText('did not finish').waitFor()
  assert.equal(await page.locator('#prt_timeless .busy').textContent(), 'running', 'though nobody says since when')
  await share.sync(status('waiting', { label: 'May I run `make`?' }))
  await activity.getByText('May I run `make`?').waitFor()
  await share.sync(status('gone'))
  await activity.getByText('the agent has ended').waitFor()
  await page.locator('#prt_t .busy').getByText('did not finish').waitFor()
  assert.equal((await (await fetch(`${server.url}/api/share/${share.id}`)).json()).status.state, 'gone')
  assert.deepEqual(page.record.errors, [])
})
