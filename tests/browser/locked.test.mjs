// Sessions that are locked by a password or a phrase, and what an owner can do with a share: on a desk and a phone, by
// the keyboard, and for who hears the page.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import { axeFinds } from '../lib/axe.mjs'
import { answer, live, openPage, prompt, session, setUp, text, titled } from '../lib/browser.mjs'
import { LockedProxy } from '../lib/locked.mjs'
import { SealedShare } from '../lib/sealing.mjs'
import { Share } from '../lib/server.mjs'

const { browser, server } = await setUp()
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }
const DEVICES = Object.entries({ desk: {}, phone: PHONE })
const ITEMS = [session({ title: 'Kept close' }), ...prompt('Tell me'), ...answer([text('It is **so**.')])]

/** A share with a password, or sealed with a phrase, or without either. */
async function locked({ password, phrase } = {}) {
  const create = async () => {
    const { json } = await server.request('POST', '/api/share', { sessionID: 'ses_1', password })
    return new Share(server, json)
  }
  const share = await (phrase === undefined ? create() : SealedShare.create(server, phrase))
  await share.sync(...ITEMS)
  return share
}

const setPassword = ({ id, secret }, password) => server.request('PATCH', `/api/share/${id}`, { secret, password })

/** A share whose server does as a test wants it to. */
async function proxied() {
  const share = await locked()
  const proxy = await LockedProxy.start(server.url)
  after(() => proxy.close())
  return { share, proxy, url: share.url.replace(server.url, proxy.url) }
}

/** What a page has sent. */
function sentBy(page) {
  const sent = []
  page.on('request', (request) => sent.push({ url: request.url(), body: request.postData() ?? '' }))
  return sent
}

const tried = (sent) => sent.filter(({ url }) => url.endsWith('/open')).map(({ body }) => JSON.parse(body))

const read = (page) => page.locator('.answer strong', { hasText: 'so' }).waitFor()

for (const [device, options] of DEVICES)
  test(`a password is asked for, and opens, on a ${device}`, async () => {
    const share = await locked({ password: 'open sesame' })
    const page = await openPage(browser, { ...options, reducedMotion: 'reduce' })
    const sent = sentBy(page)
    await page.goto(share.url)
    await titled(page, /This session is protected/)
    const field = page.getByLabel('Password')
    await field.waitFor()
    assert.ok(await field.evaluate((node) => node === document.activeElement), 'it can be written at once')
    assert.equal(await page.locator('.turn').count(), 0)
    assert.ok(await page.getByText('Share', { exact: true }).isHidden())
    assert.deepEqual(await axeFinds(page), [])
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(beyond <= 0, `${beyond} px too wide`)
    await page.keyboard.press('Enter')
    assert.deepEqual(tried(sent), [], 'nothing is no password')
    await page.keyboard.type('sesame')
    await page.keyboard.press('Enter')
    const error = page.getByRole('alert').filter({ hasText: 'That is not the password.' })
    await error.waitFor()
    assert.equal(await field.getAttribute('aria-invalid'), 'true')
    assert.deepEqual(await axeFinds(page), [])
    // It is marked, so that it is written over.
    await page.keyboard.type('open sesame')
    await page.keyboard.press('Enter')
    await live(page)
    await read(page)
    assert.ok(await field.isHidden())
    assert.deepEqual(tried(sent), [{ password: 'sesame' }, { password: 'open sesame' }])
    await page.getByText('Share', { exact: true }).click()
    await page.getByText('brutus-share import -').waitFor()
    await page.reload()
    await read(page)
    assert.equal(tried(sent).length, 2, 'it is not asked again')
    // Another password while it is read: what was read stays.
    assert.equal((await setPassword(share, 'another')).status, 200)
    await field.waitFor()
    assert.ok(await page.locator('.answer strong').isVisible())
    assert.deepEqual(await axeFinds(page), [])
    await field.fill('another')
    await page.getByRole('button', { name: 'Open', exact: true }).click()
    await live(page)
    await share.sync(...answer([text('Seen live')]))
    await page.locator('.answer', { hasText: 'Seen live' }).waitFor({ state: 'attached' })
    assert.deepEqual(page.record.errors, [])
    assert.deepEqual(page.record.dialogs, [])
  })

test('too many tries wait, and the wait is seen', async () => {
  const { proxy, url } = await proxied()
  const page = await openPage(browser)
  await page.goto(url)
  const field = page.getByLabel('Password')
  await field.fill('open sesame')
  proxy.isBusy = true
  await page.keyboard.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'Too many tries. It can be tried again in 2 seconds.' }).waitFor()
  const button = page.locator('.gate button')
  assert.ok(await button.isDisabled())
  assert.match(await button.textContent(), /^Again in \d s$/)
  await page.keyboard.press('Enter')
  assert.equal(proxy.tried.length, 1)
  proxy.isBusy = false
  await page.getByRole('button', { name: 'Open', exact: true }).click()
  await read(page)
})

test('where no server answers it can be tried again, and a share that is gone says so', async () => {
  const { share, proxy, url } = await proxied()
  const page = await openPage(browser)
  await page.goto(url)
  await page.getByLabel('Password').fill('open sesame')
  const { answer } = proxy
  proxy.answer = () => ({ cut: true })
  await page.keyboard.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'does not answer as it should' }).waitFor()
  proxy.answer = answer
  await share.delete()
  proxy.answer = (asked) =>
    /\/open/.test(asked.path) ? undefined : /\/items/.test(asked.path) ? undefined : answer(asked)
  await page.keyboard.press('Enter')
  await page.locator('.state[data-state=deleted]').waitFor()
  assert.ok(await page.locator('.gate').isHidden())
})

for (const [device, options] of DEVICES)
  test(`a phrase opens what is sealed, and never leaves the page, on a ${device}`, async () => {
    const phrase = 'correct horse ﬁne'
    const share = await locked({ phrase })
    const page = await openPage(browser, options)
    const sent = sentBy(page)
    await page.goto(share.url)
    const field = page.getByLabel('Phrase')
    await field.waitFor()
    assert.deepEqual(await axeFinds(page), [])
    await field.fill('correct horse')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').filter({ hasText: 'That is not the phrase.' }).waitFor()
    assert.deepEqual(tried(sent), [], 'a wrong phrase is known without the server')
    // Typed in another way it is the same (NFKC).
    await field.fill('correct horse fine')
    await page.keyboard.press('Enter')
    await live(page)
    await read(page)
    assert.deepEqual(tried(sent), [{ door: share.keys.door }])
    assert.equal(await page.evaluate(() => location.hash), `#k1=${share.key}`)
    assert.ok(await page.locator('.doubts').isHidden())
    assert.ok(![/horse/, new RegExp(share.key)].some((words) => words.test(JSON.stringify(sent))))
    await page.reload()
    await field.fill(phrase)
    await page.keyboard.press('Enter')
    await read(page)
    assert.deepEqual(page.record.errors, [])
  })

test('without the key a phrase is not even asked for', async () => {
  const { page: url } = await locked({ phrase: 'a phrase' })
  const page = await openPage(browser)
  await page.goto(url)
  await page.getByRole('heading', { name: 'The link is cut short' }).waitFor()
})

test('a password that a server asks for is never sent where the link has a key', async () => {
  const { proxy, share } = await proxied()
  const page = await openPage(browser)
  await page.goto(`${proxy.url}/s/${share.id}#k1=${'A'.repeat(22)}`)
  await page.getByLabel('Phrase').fill('a phrase')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'That is not the phrase.' }).waitFor()
  assert.deepEqual(proxy.tried, [])
})

for (const [device, options] of DEVICES)
  test(`an owner sets a password, an end, and stops sharing, on a ${device}`, async () => {
    const share = await locked()
    const page = await openPage(browser, { ...options, reducedMotion: 'reduce' })
    const sent = sentBy(page)
    await page.goto(`${share.url}#o=${share.secret}`)
    await live(page)
    const manage = page.getByRole('button', { name: 'Manage this share' })
    await manage.waitFor()
    assert.ok(!page.url().includes(share.secret))
    assert.ok(!(await page.content()).includes(share.secret))
    const { width, height } = page.viewportSize()
    if (device === 'phone') await page.setViewportSize({ width: 320, height })
    assert.ok(await page.evaluate(() => document.querySelector('.top').scrollWidth <= innerWidth))
    await page.setViewportSize({ width, height })
    await manage.click()
    const dialog = page.getByRole('dialog')
    const said = (words) => dialog.getByRole('status').filter({ hasText: words }).waitFor()
    assert.deepEqual(await axeFinds(page), [])
    await dialog.getByLabel('End of the share').selectOption('In a week')
    await dialog.getByRole('button', { name: 'Set' }).first().click()
    await said(/^It ends .* 20\d\d/)
    await dialog.getByLabel('Password').fill('open sesame')
    await page.keyboard.press('Enter')
    await said('The password is set.')
    assert.equal((await server.request('GET', `/api/share/${share.id}/items`)).status, 401)
    // Who set it goes on reading.
    await live(page)
    assert.ok(await page.locator('.gate').isHidden())
    await dialog.getByRole('button', { name: 'Change' }).waitFor()
    await dialog.getByRole('button', { name: 'Remove' }).click()
    await said('The password is removed.')
    assert.equal((await server.request('GET', `/api/share/${share.id}/items`)).status, 200)
    assert.deepEqual(tried(sent), [{ password: 'open sesame' }])
    // Once asked, it can be left.
    await dialog.getByRole('button', { name: 'Stop sharing' }).click()
    await dialog.getByRole('button', { name: 'Keep it' }).click()
    await dialog.getByRole('button', { name: 'Stop sharing' }).click()
    assert.deepEqual(await axeFinds(page), [])
    await dialog.getByRole('button', { name: 'Delete it for good' }).click()
    await said('It is deleted. The link opens nothing any more.')
    await page.locator('.state[data-state=deleted]').waitFor()
    assert.equal((await server.request('GET', `/api/share/${share.id}`)).status, 404)
    await page.keyboard.press('Escape')
    assert.ok(await dialog.isHidden())
    assert.deepEqual(page.record.errors, [])
  })

test('an owner of a sealed share keeps its key, and is offered no password', async () => {
  const share = await SealedShare.create(server)
  await share.sync(...ITEMS)
  const page = await openPage(browser)
  await page.goto(`${share.url}&o=${share.secret}`)
  await live(page)
  await page.getByRole('button', { name: 'Manage this share' }).click()
  assert.equal(page.url(), share.url)
  assert.equal(await page.getByRole('dialog').locator('input').count(), 0)
  await page.getByText('An encrypted share has no password').waitFor()
})

test("a link that is no owner's is told, and a frame of another page manages nothing", async () => {
  const share = await server.share()
  await share.sync(...ITEMS)
  const page = await openPage(browser)
  await page.goto(`${share.url}#o=0b0e1f6a-0000-4000-8000-000000000000`)
  await live(page)
  await page.getByRole('button', { name: 'Manage this share' }).click()
  await page.getByRole('button', { name: 'Stop sharing' }).click()
  await page.getByRole('button', { name: 'Delete it for good' }).click()
  await page.getByRole('status').filter({ hasText: 'does not know this link as the owner’s' }).waitFor()
  await page.goto(`${share.url.replace('/s/', '/embed/')}#o=${share.secret}`)
  await live(page)
  assert.ok(!page.url().includes(share.secret))
  assert.equal(await page.getByRole('button', { name: 'Manage this share' }).count(), 0)
})
