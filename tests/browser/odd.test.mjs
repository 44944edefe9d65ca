// What a newer or a faulty client sends costs its own place on the page and no other: not on the screen, not in what is
// printed, not in what is taken along.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { answer, openPage, openShare, prompt, session, setUp, text, tool } from '../lib/browser.mjs'

const { browser, server } = await setUp()

const fixture = async (name) =>
  JSON.parse(await readFile(new URL(`../fixtures/odd/${name}.json`, import.meta.url), 'utf8'))

/** Opens a share of these items with everything that folds open, and takes it along as HTML. */
async function open(items) {
  const share = await server.share()
  await share.sync(...items)
  const page = await openShare(browser, share)
  await page.getByText('View', { exact: true }).click()
  await page.getByText('Expand all').click()
  await page.keyboard.press('Escape')
  await page.locator('.tab', { hasText: 'Changes' }).click()
  await page.locator('.review').waitFor()
  await page.keyboard.press('c')
  // The session is drawn in the frame behind the one in which it comes back.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
  const shown = await page.locator('main').innerText()
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')))
  await page.getByText('Share', { exact: true }).click()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByText('HTML file, works offline').click()])
  const html = await readFile(await file.path(), 'utf8')
  return { page, shown, html }
}

/** All of these are on the page, and in what is taken along. */
async function holds(items, ...words) {
  const { page, shown, html } = await open(items)
  for (const word of words) {
    assert.ok(shown.includes(word), `${word} in: ${shown}`)
    assert.ok(html.replaceAll('&quot;', '"').includes(word), `${word} in the export`)
  }
  assert.doesNotMatch(shown, /\[object Object\]|undefined|NaN|Invalid/)
  assert.deepEqual(page.record.errors, [])
  return page
}

const around = await fixture('around')
for (const { name, item } of await fixture('items')) {
  test(`${name}: everything else is shown`, async () => {
    const page = await holds([...around, item], 'PROMPT-SEEN', 'ANSWER-SEEN')
    await page.context().close()
  })
}

test('a question whose questions are a text is shown by its name, its error and its input', async () => {
  const conclusions = [
    'first prompt',
    'answer one',
    'conclusion one',
    'second prompt',
    'answer two',
    'third prompt',
    'answer three',
  ]
  await holds(
    await fixture('question-as-string'),
    ...conclusions,
    'Question',
    'expected an array, got a string',
    'Which database?',
  )
})

test('texts that are lists of texts are shown as texts', async () => {
  const page = await holds(
    await fixture('text-as-array'),
    'first prompt',
    'before',
    'inner',
    'thought',
    'after',
    'the last answer',
  )
  assert.equal(await page.locator('.part-raw').count(), 0)
})

test('outputs and errors that are objects are shown as JSON', async () => {
  await holds(
    await fixture('output-as-object'),
    'before',
    '"stdout": "hello"',
    'file body',
    '"result": "child said"',
    '"message": "boom"',
    'after',
    'the last answer',
  )
})

test('times that are texts do not take the session away', async () => {
  const page = await holds(await fixture('times-as-text'), 'Case', 'prompt one', 'answer one', 'prompt two')
  assert.equal(await page.locator('.prompt time').first().getAttribute('datetime'), '2026-11-25T03:00:00.000Z')
})

test('parts of types that nobody knows yet are a quiet line, and their data is one press away', async () => {
  const page = await holds(
    await fixture('unknown-part'),
    'before',
    'snapshot-v9',
    'from a newer client',
    'after',
    'the last answer',
  )
  await page.reload()
  const line = page.locator('.part-raw', { hasText: 'snapshot-v9' })
  await line.waitFor()
  assert.ok(await line.locator('.body').isHidden())
  await line.locator('summary').click()
  await line.getByText('"note": "from a newer client"').waitFor()
})

test('names that every object has are names like others', async () => {
  const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf']
  const items = [
    session(),
    ...prompt('Asked'),
    ...answer([
      ...names.map((type) => ({ type, note: `a part of type ${type}` })),
      ...names.map((name) => tool(name, { note: `a call of ${name}` }, { output: `out of ${name}` })),
      ...names.map((name) => tool('write', { filePath: `/p/x.${name}`, content: `a file of ${name}` })),
      text('Answered'),
    ]),
  ]
  const said = names.flatMap((name) => [
    `a part of type ${name}`,
    `a call of ${name}`,
    `out of ${name}`,
    `a file of ${name}`,
  ])
  await holds(items, 'Asked', ...said, 'Answered')
})

test('a part that becomes odd, and one that is mended, change in place', async () => {
  const share = await server.share()
  const reply = answer([text('right'), text('stays')])
  await share.sync(session(), ...prompt('Asked'), ...reply)
  const page = await openShare(browser, share)
  const part = page.locator(`[id="${reply[1].data.id}"]`)
  await part.getByText('right').waitFor()
  const shows = async (text) => {
    await share.sync({ type: 'part', data: { ...reply[1].data, text } })
  }
  await shows({ odd: 'value' })
  await page.locator('.part-raw', { hasText: '"odd": "value"' }).waitFor()
  await shows(['mended', 'again'])
  await part.getByText('mended again').waitFor()
  await shows(7)
  await part.getByText('7', { exact: true }).waitFor()
  assert.ok(await page.getByText('stays').isVisible())
  assert.equal(await page.locator('.part').count(), 2)
  assert.deepEqual(page.record.errors, [])
})

test('every field of a session may be of any type', async () => {
  const values = [null, 5, 'text', [], [null], {}, { a: 1 }, true]
  const states = (value) => [
    {
      status: value,
      input: value,
      output: value,
      error: value,
      metadata: value,
      attachments: value,
      time: value,
      title: value,
    },
    {
      status: 'completed',
      input: {
        command: value,
        filePath: value,
        pattern: value,
        url: value,
        prompt: value,
        todos: value,
        questions: value,
        content: value,
        patchText: value,
      },
      output: value,
      metadata: { exit: value, diff: value, files: value, todos: value, answers: value },
      attachments: [value],
      time: { start: value, end: value },
    },
  ]
  for (const value of values) {
    const tools = [
      'bash',
      'read',
      'edit',
      'write',
      'apply_patch',
      'grep',
      'todowrite',
      'task',
      'question',
      'webfetch',
      'mcp_thing',
    ]
    await holds(
      [
        session({ title: value, directory: value, time: value, revert: value, cost: value }),
        ...prompt('PROMPT-SEEN', { mime: value, filename: value, url: value, source: value }),
        ...answer(
          [
            ...['text', 'reasoning', 'file', 'patch', 'agent', 'retry', 'compaction', 'subtask', value].map((type) => ({
              type,
              text: value,
              files: value,
              name: value,
              attempt: value,
              error: value,
              description: value,
              prompt: value,
              time: value,
            })),
            ...tools.flatMap((name) => states(value).map((state) => ({ type: 'tool', tool: name, state }))),
            { type: 'tool', tool: value, state: value },
            text('ANSWER-SEEN'),
          ],
          { error: value, tokens: value, cost: value, modelID: value },
        ),
        { type: 'session_diff', data: [value, { file: value, patch: value, before: value, after: value }] },
      ],
      'PROMPT-SEEN',
      'ANSWER-SEEN',
    ).then((page) => page.context().close())
  }
})

test('an address that names no place, and one that cannot be read, are no fault', async () => {
  const share = await server.share()
  await share.sync(session(), ...prompt('Asked'))
  const page = await openPage(browser)
  for (const hash of ['#nothing', '#%E0%A4%A']) {
    await page.goto(share.url + hash)
    await page.locator('.prompt-text').getByText('Asked').waitFor()
  }
  assert.deepEqual(page.record.errors, [])
})

test('parts without a message, messages without parts, a session without a title: all are shown', async () => {
  const stray = { type: 'part', data: { id: 'prt_stray', messageID: 'msg_gone', ...text('STRAY-SEEN') } }
  const [message] = prompt('nothing')
  await holds(
    [stray, message, ...answer([text('ANSWER-SEEN')])],
    'Parts without their message',
    'STRAY-SEEN',
    'ANSWER-SEEN',
  )
})

test('an undo after the ids of messages wrapped hides what came later, and that alone', async () => {
  const page = await holds(await fixture('undo-after-rollover'), 'prompt before', 'answer before', 'prompt after')
  await page.getByText('2 messages were undone').waitFor()
  assert.equal(await page.locator('.turn').count(), 2)
})

test('an answer stands under its prompt, whatever the clocks say', async () => {
  const page = await holds(await fixture('answer-before-prompt'), 'the prompt', 'second prompt', 'second answer')
  assert.deepEqual(
    await page
      .locator('.turn')
      .evaluateAll((turns) => turns.map((turn) => turn.querySelector('.answer .markdown').textContent.trim())),
    ['the answer, of a machine 3.1 s behind', 'second answer'],
  )
})
