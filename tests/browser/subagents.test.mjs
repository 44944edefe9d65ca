// Subagents: a task opens what its subagent did, in place, while the subagent works.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { AxeBuilder } from '@axe-core/playwright'

import { answer, openShare, prompt, session, setUp, shown, text, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

/** The same items as another session's. */
const of = (sessionID, items) => items.map(({ type, data }) => ({ type, data: { ...data, sessionID } }))

const task = (description, sessionId, state) =>
  tool(
    'task',
    { description, prompt: `Please ${description}`, subagent_type: 'explorer' },
    { metadata: { sessionId }, ...state },
  )

const RUNNING = { status: 'running', output: undefined }

/** A share in which a subagent works: with its items, to be changed. */
async function working() {
  const share = await server.share()
  const main = of('ses_1', [...prompt('Find the bug'), ...answer([task('look around', 'sub', RUNNING)])])
  const sub = of('sub', [
    ...prompt('Please look around'),
    ...answer([
      text('I will look at the **parser** first.'),
      tool(
        'edit',
        { filePath: '/p/parser.rs' },
        { metadata: { diff: '--- a/parser.rs\n+++ b/parser.rs\n@@ -1 +1 @@\n-old\n+newer\n' } },
      ),
      tool('bash', { command: 'cargo test parser' }, { status: 'running', output: undefined }),
    ]),
  ])
  const next = of('ses_1', prompt('Thank you'))
  // The answers are not done yet.
  for (const items of [main, sub])
    for (const { type, data } of items) if (type === 'message') delete data.time.completed
  await share.sync(session({ title: 'With subagents' }), ...main, ...sub, ...next)
  return { share, main, sub, next }
}

const fold = (page) => page.locator('.part[data-tool=task] > details').first()
const line = (page) => fold(page).locator('> summary')

/** What the browser tells whoever cannot see it of the line of a task. */
async function expanded(page) {
  const client = await page.context().newCDPSession(page)
  const { nodes } = await client.send('Accessibility.getFullAXTree')
  const found = nodes.find(
    ({ name, properties }) =>
      name?.value.includes('look around') && properties?.some(({ name }) => name === 'expanded'),
  )
  return found?.properties.find(({ name }) => name === 'expanded').value.value
}

test('a task says what its subagent does, and its keyboard opens it', async () => {
  const { share, main, sub } = await working()
  const page = await openShare(browser, share)
  await line(page).getByText('2 steps · 1 file changed · now: Shell cargo test parser').waitFor()
  assert.equal(await page.locator('.steps .part').count(), 0, 'nothing is made before it is opened')
  assert.equal(await page.locator('.turn').count(), 2, 'its prompt is no turn of the session')
  assert.equal(await page.locator('.outline a').count(), 2)
  await page.locator('.activity').getByText('Working').waitFor()
  assert.equal(await expanded(page), false)
  await line(page).focus()
  await page.keyboard.press('Enter')
  await page.locator('.steps .prompt', { hasText: 'Please look around' }).waitFor()
  await page.locator('.steps strong', { hasText: 'parser' }).waitFor()
  await page.locator('.steps .part-edit .diff').waitFor()
  assert.equal(await expanded(page), true)

  // What comes live comes in place, and what is open stays open and is not made anew.
  const scrolled = () => page.evaluate(() => scrollY)
  await page.evaluate(() => {
    document.querySelector('.steps .part-text').isTheSame = true
    document.querySelector('.part[data-tool=task]').isTheSame = true
  })
  const before = await scrolled()
  await share.sync(...of('sub', answer([text('It was the *lexer* all along.')])))
  await page.locator('.steps em', { hasText: 'lexer' }).waitFor()
  const done = structuredClone(main.find(({ data }) => data.type === 'tool'))
  Object.assign(done.data.state, {
    status: 'completed',
    output: '<task_result>It was the *lexer* all along.</task_result>',
  })
  await share.sync(done)
  await page.locator('.part[data-tool=task][data-status=completed]').waitFor()
  await line(page)
    .getByText(/^2 steps · 1 file changed$/)
    .waitFor()
  assert.ok(await fold(page).evaluate(({ open, parentNode }) => open && parentNode.isTheSame))
  assert.ok(await page.evaluate(() => document.querySelector('.steps .part-text').isTheSame))
  assert.equal(await scrolled(), before)
  assert.equal(await page.getByText('all along').count(), 1, 'what it said last is not said again')
  await line(page).focus()
  await page.keyboard.press('Enter')
  assert.equal(await fold(page).evaluate(({ open }) => open), false)
  assert.equal(sub.length, 6)
  assert.deepEqual(page.record.errors, [])
})

test('a search finds what a subagent said, and opens it', async () => {
  const { share } = await working()
  const page = await openShare(browser, share)
  await page.keyboard.press('/')
  await page.keyboard.type('i will look')
  await page.locator('.search .count', { hasText: '1 of 1' }).waitFor()
  const found = page.locator('.steps .part-text', { hasText: 'i will look' })
  await found.waitFor()
  await page.waitForFunction(() => {
    const { top, bottom } = document.querySelector('.steps .part-text').getBoundingClientRect()
    return top > 0 && bottom < innerHeight
  })
})

test('a link to what a subagent said opens its task', async () => {
  const { share, sub } = await working()
  const message = sub[0].data.id
  const page = await openShare(browser, { url: `${share.url}#${message}` })
  await shown(page, message)
  const part = sub.at(-1).data.id
  const other = await openShare(browser, share)
  await other.evaluate((id) => (location.hash = id), message)
  await other.locator(`[id="${message}"] .prompt.pointed`).waitFor()
  await other.evaluate((id) => (location.hash = id), part)
  await other.locator(`[id="${part}"].pointed`).waitFor()
})

test('subagents of subagents, and those that no task names', async () => {
  const share = await server.share()
  await share.sync(
    session(),
    ...of('ses_1', [...prompt('Go'), ...answer([task('look', 'sub'), text('Done.')])]),
    ...of('sub', [...prompt('Please look'), ...answer([task('dig', 'deep')])]),
    ...of('deep', [...prompt('Please dig'), ...answer([text('A fossil.')])]),
    ...of('lost', [...prompt('Nobody knows me'), ...answer([text('I was here.')])]),
  )
  const page = await openShare(browser, share)
  assert.equal(await page.locator('.turn').count(), 1)
  const unlinked = page.locator('.part', { hasText: 'Nobody knows me' })
  await unlinked.getByText('not linked').waitFor()
  await unlinked.locator('summary').first().click()
  await unlinked.getByText('I was here.').waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('fossil')
  await page.keyboard.press('Escape')
  await page.locator('.answer').getByText('A fossil.').waitFor()
  assert.equal(await page.locator('.steps .steps').count(), 1)

  // The task that names it comes later: it moves there, and is open still.
  const later = of('ses_1', answer([tool('task', { description: 'be known' }, { status: 'running' })]))
  await share.sync(...later)
  await page.locator('.part', { hasText: 'be known' }).waitFor()
  later[1].data.state.metadata.sessionId = 'lost'
  await share.sync(...later)
  await page.locator('.part', { hasText: 'be known' }).getByText('I was here.').waitFor()
  assert.equal(await page.getByText('not linked').count(), 0)

  // All can be opened at once, and closed.
  await page.keyboard.press('o')
  await page.keyboard.press('o')
  assert.equal(await page.locator('.part > details:not([open])').count(), 0)
})

test('what Claude Code wrote of two subagents stands under their tasks', async () => {
  const lines = await readFile(new URL('../fixtures/claude-subagents.jsonl', import.meta.url), 'utf8')
  const share = await server.share()
  await share.sync(...lines.trim().split('\n').map(JSON.parse))
  const page = await openShare(browser, share)
  const tasks = page.locator('.part[data-tool=task]', { hasText: '1 step' })
  await tasks.nth(1).waitFor()
  assert.equal(await page.getByText('not linked').count(), 0)
  for (const at of [0, 1]) {
    await tasks.nth(at).locator('summary').first().click()
    await tasks.nth(at).getByText('It has 2 lines.').waitFor()
    assert.equal(await tasks.nth(at).locator('.steps [data-tool=bash]').count(), 1)
  }
  const written = await server.request('GET', `/s/${share.id}.md`)
  assert.ok(!written.text.includes('I count.'), 'the Markdown is the conversation of the session itself')
  const full = await server.request('GET', `/s/${share.id}.md?full=1`)
  assert.equal(full.text.match(/^> .*I count\.$/gm).length, 2)
})

for (const [colorScheme, viewport] of [
  ['light', { width: 1440, height: 900 }],
  ['dark', { width: 390, height: 844 }],
]) {
  test(`axe finds nothing in an open task: ${colorScheme}, ${viewport.width} wide`, async () => {
    const { share } = await working()
    const page = await openShare(browser, share, { colorScheme, viewport, reducedMotion: 'reduce' })
    await line(page).click()
    await page.waitForFunction(() => !document.querySelector('.steps [data-lazy]'))
    const { violations } = await new AxeBuilder({ page }).analyze()
    assert.deepEqual(
      violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 160))]),
      [],
    )
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth))
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0)
    if (process.env.PICTURES)
      await page.screenshot({ path: `${process.env.PICTURES}/${colorScheme}.png`, fullPage: true })
  })
}
