// What the page does for a reader: each kind of part by its meaning, finding the way, following, taking along.

import assert from 'node:assert/strict'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { answer, openPage, openShare, prompt, session, setUp, shareRecorded, text, tool } from '../lib/browser.mjs'

const PIXEL =
  'data:image/png;base64,' +
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const DIFF =
  '--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,3 @@\n fn main() {\n-    let apples = 1;\n+    let apples = 2;\n }\n'

const { browser, server } = await setUp()

/** A share with a turn of these parts. */
async function shareOf(parts, info, ...more) {
  const share = await server.share()
  await share.sync(session({ title: 'Parts' }), ...prompt('Show me'), ...answer(parts, info), ...more)
  return share
}

test('on a phone all of the bar at the top fits, whatever the state says', async () => {
  const share = await shareOf([text('x')])
  const page = await openShare(browser, share, { viewport: { width: 320, height: 700 } })
  await page.locator('.state[data-state=live]').waitFor()
  for (const said of ['Live', 'Last change 30 minutes ago, and some words more']) {
    await page.locator('.state').evaluate((state, said) => (state.textContent = said), said)
    const seen = await page.evaluate(() => {
      const { width, height } = getComputedStyle(document.querySelector('.state'), '::before')
      return { width, height, beyond: document.querySelector('.top').scrollWidth - innerWidth }
    })
    assert.equal(seen.width, seen.height, 'the dot is round')
    assert.ok(seen.beyond <= 0, `${seen.beyond} px`)
  }
})

test('the messages of one item are shown as messages, and grow in place', async () => {
  const share = await server.share()
  const list = (...content) => ({
    type: 'messages',
    data: {
      sessionID: 'ses_1',
      messages: [
        { id: 'msg_1', type: 'user', time: { created: 1 }, text: 'Show me' },
        {
          id: 'msg_2',
          type: 'assistant',
          time: { created: 2 },
          agent: 'build',
          model: { id: 'm-1', providerID: 'p' },
          content,
        },
        { id: 'msg_3', type: 'model-switched', time: { created: 3 }, model: { id: 'm-2', providerID: 'p' } },
      ],
    },
  })
  const words = (text) => ({ type: 'text', id: 'text-0', text })
  const call = {
    type: 'tool',
    id: 'call_0',
    name: 'bash',
    state: {
      status: 'completed',
      input: { command: 'make' },
      structured: { exit: 0 },
      content: [{ type: 'text', text: 'built' }],
    },
    time: { created: 2, completed: 3 },
  }
  await share.sync(session({ location: { directory: '/of/the/project' } }), list(words('Some **words**'), call))
  const page = await openShare(browser, share)
  await page.locator('.prompt', { hasText: 'Show me' }).waitFor()
  await page.locator('.answer strong', { hasText: 'words' }).waitFor()
  assert.equal(await page.locator('.path').first().textContent(), '/of/the/project')
  await page.locator('[data-tool=bash] summary').click()
  await page.locator('[data-tool=bash] .output', { hasText: 'built' }).waitFor()
  await page.locator('.answer', { hasText: 'Model: m-2' }).waitFor()
  await page.evaluate(() => (document.querySelector('[data-tool=bash]').isTheSame = true))
  await share.sync(list(words('Some **words** and more'), call))
  await page.locator('.answer', { hasText: 'words and more' }).waitFor()
  assert.ok(
    await page.evaluate(() => document.querySelector('[data-tool=bash]').isTheSame),
    'the call was not made anew',
  )
})

test('every kind of part is shown by its meaning', async () => {
  const share = await shareOf(
    [
      text('Some **words** and\n\n```rust\nfn main() {}\n```'),
      { type: 'reasoning', text: 'First line\nsecond line', time: { start: 1, end: 2001 } },
      tool(
        'bash',
        { command: 'make', description: 'Builds' },
        { output: '\x1b[1;32mgreen\x1b[0m\nprogress 1\rprogress 2\n', metadata: { exit: 2 } },
      ),
      tool('edit', { filePath: '/p/src/a.rs' }, { metadata: { diff: DIFF } }),
      tool('write', { filePath: '/p/b.py', content: 'print(1)\n' }),
      tool('apply_patch', { patchText: 'x' }, { metadata: { files: [{ patch: DIFF }] } }),
      tool('read', { filePath: '/p/one.txt' }, { output: 'one' }),
      tool('read', { filePath: '/p/two.txt' }, { output: 'two' }),
      tool('grep', { pattern: 'x' }, { output: 'found' }),
      tool(
        'todowrite',
        {},
        {
          metadata: {
            todos: [
              { content: 'A', status: 'completed' },
              { content: 'B', status: 'in_progress' },
            ],
          },
        },
      ),
      tool(
        'task',
        { description: 'Look around', prompt: 'Please look', subagent_type: 'general' },
        { output: 'I looked' },
      ),
      tool('question', { questions: [{ question: 'Tea or coffee?' }] }, { metadata: { answers: [['Tea']] } }),
      tool('webfetch', { url: 'https://example.org/' }, { output: 'page' }),
      tool(
        'mcp_thing',
        { depth: 3 },
        { output: '{"a":1}', attachments: [{ type: 'file', mime: 'image/png', filename: 'shot.png', url: PIXEL }] },
      ),
      tool('bash', { command: 'sleep 9' }, { status: 'running', time: { start: Date.now() - 5000 } }),
      tool('bash', { command: 'no' }, { status: 'error', error: 'it broke' }),
      { type: 'retry', attempt: 2, error: { name: 'APIError', data: { message: 'too busy', statusCode: 529 } } },
      { type: 'compaction', auto: true },
      { type: 'agent', name: 'plan' },
      { type: 'file', mime: 'application/pdf', filename: 'paper.pdf', url: 'data:application/pdf;base64,AAAA' },
      { type: 'step-start' },
      { type: 'step-finish', reason: 'stop', cost: 0, tokens: {} },
    ],
    { error: { name: 'MessageAbortedError', data: { message: 'x' } } },
  )
  const page = await openShare(browser, share)
  const shown = (selector) => page.locator(selector)
  await shown('.markdown .hljs-keyword').first().waitFor()
  assert.equal(await shown('.part-reasoning .tool-what').textContent(), 'First line')
  assert.ok(await shown('.part-reasoning .body').isHidden())

  const bash = shown('[data-tool=bash]').first()
  assert.match(await bash.locator('.tool-meta').textContent(), /exit 2.*1\.2 s/)
  assert.equal(await bash.locator('.dot.error').count(), 1, 'a command that failed is seen to have failed')
  await bash.locator('summary').click()
  assert.equal(await bash.locator('.ansi-green-fg.ansi-bold').textContent(), 'green')
  assert.equal(await bash.locator('.output [style]').count(), 0)
  assert.match(await bash.locator('.output code').textContent(), /\nprogress 2/)
  assert.doesNotMatch(await bash.locator('.output code').textContent(), /progress 1/)

  const edit = shown('[data-tool=edit]')
  assert.match(await edit.locator('.tool-meta').textContent(), /\+1 −1/)
  assert.deepEqual(await edit.locator('mark').allTextContents(), ['1', '2'])
  await shown('[data-tool=write] .hljs').waitFor()
  assert.equal(await shown('[data-tool=apply_patch] .diff').count(), 1)

  const looked = page.getByText('Looked at 2 files, 1 search')
  await looked.click()
  await shown('[data-tool=read] summary').first().click()
  assert.equal(await shown('[data-tool=read] .output code').first().textContent(), 'one')

  assert.deepEqual(await shown('.todos li').evaluateAll((items) => items.map(({ className }) => className)), [
    'completed',
    'in_progress',
  ])
  assert.equal(await shown('.reply').textContent(), 'Tea')
  await shown('[data-tool=mcp_thing] summary').click()
  await page.waitForFunction(() => document.querySelector('[data-tool=mcp_thing] img')?.naturalWidth > 0)
  // The user stopped the answer in which it ran.
  await shown('[data-status=running] .busy').getByText('did not finish').waitFor()
  assert.equal(await shown('[data-status=error] .error-text').textContent(), 'it broke')
  await page.getByText('Retry 2: too busy (529)').waitFor()
  await page.getByText('summarised to make room').waitFor()
  await page.getByText('Stopped by the user').waitFor()
  assert.equal(await shown('.chip-name').textContent(), 'paper.pdf')
  await page.locator('.turn-foot').getByText('15 tokens').waitFor()
  assert.deepEqual(page.record.errors, [])

  await shown('[data-tool=mcp_thing] .picture').click()
  await shown('dialog.lightbox').waitFor()
  await page.keyboard.press('Escape')
  await shown('dialog.lightbox').waitFor({ state: 'detached' })
})

test('calls of other agents are shown by their meaning', async () => {
  const files = '*** Update File: moved.py\n*** Move to: here.py\n@@\n-a\n+b\n*** Add File: c.py\n+c'
  const patch = `*** Begin Patch\n${files}\n*** End Patch`
  const share = await shareOf([
    tool('bash', { command: 'false' }, { output: 'Command failed: exit status 1\nOutput: no' }),
    tool('shell', { command: ['bash', '-lc', 'exit 3'] }, { output: '{"output":"oh","metadata":{"exit_code":3}}' }),
    tool('Read', { file_path: '/p/one.txt', offset: 7 }, { output: 'one' }),
    tool('list_directory', { dir_path: '/p' }, { output: 'one.txt' }),
    tool('code_search', { pattern: 'func', path: 'agent' }, { output: 'found' }),
    tool('edit_file', { path: 'main.go', old_str: 'one\ntwo', new_str: 'one\n2\n3' }, { output: 'OK' }),
    tool('write_file', { file_path: 'new.md', content: '# New\n\ntext' }),
    tool('apply_patch', patch, { output: 'Exit code: 0\nOutput:\nSuccess.' }),
    tool('Edit', { file_path: 'failed.py', old_string: 'x', new_string: 'y' }, { status: 'error', error: 'not found' }),
    tool('update_plan', {
      plan: [
        { step: 'A', status: 'completed' },
        { step: 'B', status: 'in progress' },
      ],
    }),
    tool('ExitPlanMode', { plan: '# The plan\n\n1. write' }, { output: 'approved' }),
    tool('mcp__tracker__create_issue', { title: 'Lost line', labels: ['bug'] }, { output: 'created' }),
    tool('Edit', { file_path: 7 }, { output: 'odd' }),
  ])
  const page = await openShare(browser, share)
  const shown = (selector) => page.locator(selector)
  const head = (selector) => shown(`${selector} summary`).innerText()
  const failed = shown('[data-tool=bash]')
  assert.deepEqual(await failed.locator('.tool-what').allInnerTexts(), ['false', 'exit 3'])
  assert.deepEqual(await failed.locator('.tool-meta .bad').allInnerTexts(), ['exit 1', 'exit 3'])
  assert.equal(await failed.locator('.dot.error').count(), 2)
  await page.getByText('Looked at 1 file, 2 searches').click()
  assert.match(await head('[data-tool=read]'), /^Read\s+\/p\/one\.txt/)
  assert.match(await head('[data-tool=list]'), /^List\s+\/p/)
  assert.match(await head('[data-tool=grep]'), /^Grep\s+func in agent/)
  await shown('[data-tool=read] summary').click()
  assert.equal(await shown('[data-tool=read] .note').innerText(), 'offset: 7')
  const edit = shown('[data-tool=edit]').first()
  assert.match(await edit.locator('summary').innerText(), /Edit\s+main\.go\s+\+2 −1/)
  assert.deepEqual(await edit.locator('.diff .added .text').allInnerTexts(), ['2', '3'])
  assert.deepEqual(await edit.locator('.diff .number').allInnerTexts(), Array(8).fill(''), 'no line has a number')
  assert.match(await head('[data-tool=write]'), /Write\s+new\.md\s+\+3 −0/)
  const moved = shown('[data-tool=apply_patch]')
  assert.match(await moved.locator('summary').innerText(), /Patch\s+here\.py, c\.py\s+\+2 −1/)
  assert.deepEqual(await moved.locator('.diff-name > span').allInnerTexts(), ['moved.py → here.py', 'c.py'])
  const wrong = shown('[data-tool=edit][data-status=error]')
  assert.doesNotMatch(await wrong.locator('summary').innerText(), /\+1/)
  assert.equal(await wrong.locator('.body > *').first().innerText(), 'not found')
  assert.deepEqual(await shown('.todos li').evaluateAll((items) => items.map(({ className }) => className)), [
    'completed',
    'in_progress',
  ])
  await shown('[data-tool=plan] .markdown').getByText('The plan').waitFor()
  const foreign = shown('[data-tool=mcp__tracker__create_issue]')
  assert.match(await foreign.locator('summary').innerText(), /tracker › create issue\s+Lost line/)
  await foreign.locator('summary').click()
  await foreign.locator('.body .output').first().waitFor()
  assert.match(await foreign.locator('.body').innerText(), /"bug"[^]*created/)
  const odd = shown('[data-tool=edit]').last()
  assert.match(await odd.locator('.body').innerText(), /"file_path": 7[^]*odd/)

  await page.locator('.tab', { hasText: 'Changes' }).click()
  const names = shown('.review .file-name')
  await names.first().waitFor()
  assert.deepEqual(await names.allInnerTexts(), ['c.py', 'here.py', 'main.go', 'new.md'])
  assert.deepEqual(page.record.errors, [])
})

test('search finds what is folded, counts, and goes on', async () => {
  const share = await shareOf([
    text('a needle here'),
    tool('bash', { command: 'x' }, { output: 'needle one\nneedle two' }),
    text('hay'),
  ])
  const page = await openShare(browser, share)
  assert.match(await page.locator('[data-tool=bash] .body').textContent(), /needle one/, 'there for find-in-page')
  await page.keyboard.press('/')
  await page.keyboard.type('needle')
  const count = page.locator('.search .count')
  await count.getByText('1 of 3').waitFor()
  await page.keyboard.press('Enter')
  await count.getByText('2 of 3').waitFor()
  assert.ok(await page.locator('[data-tool=bash] details').evaluate(({ open }) => open))
  assert.equal(await page.evaluate(() => CSS.highlights.get('current').size), 1)
  await page.keyboard.press('Shift+Enter')
  await count.getByText('1 of 3').waitFor()
  await page.locator('.search input').fill('nothing like it')
  await count.getByText('No match').waitFor()
  await page.keyboard.press('Escape')
  assert.ok(await page.locator('.search').isHidden())
})

test('the outline, the keyboard and deep links find the way', async () => {
  const share = await server.share()
  const turns = Array.from({ length: 8 }, (_, at) => [
    ...prompt(`Question ${at}`),
    ...answer([text(`Answer ${at}\n\n${'long '.repeat(400)}`)]),
  ])
  await share.sync(session(), ...turns.flat())
  const page = await openShare(browser, share)
  await page.locator('.outline .label').getByText('Question 5').click()
  const top = (words) =>
    page
      .locator('.turn', { hasText: words })
      .first()
      .evaluate((node) => Math.round(node.getBoundingClientRect().top))
  await page.waitForFunction(
    () => Math.abs([...document.querySelectorAll('.turn')][5].getBoundingClientRect().top) < 120,
  )
  await page.locator('.outline a[aria-current]').getByText('Question 5').waitFor()
  await page.keyboard.press('j')
  await page.waitForFunction(
    () => Math.abs([...document.querySelectorAll('.turn')][6].getBoundingClientRect().top) < 120,
  )
  await page.keyboard.press('k')
  await page.waitForFunction(
    () => Math.abs([...document.querySelectorAll('.turn')][5].getBoundingClientRect().top) < 120,
  )
  assert.ok((await top('Question 5')) > 0)
  await page.keyboard.press('?')
  await page.locator('dialog.help').waitFor()
  await page.keyboard.press('Escape')

  const part = turns[7][3].data.id
  const linked = await openPage(browser)
  await linked.goto(`${share.url}#${part}`)
  await linked.waitForFunction(
    (id) => Math.abs(document.getElementById(id)?.getBoundingClientRect().top ?? 1e9) < 200,
    part,
  )
  assert.equal(await linked.locator(`[id="${part}"] .anchor`).getAttribute('href'), `#${part}`)
})

test('a reader at the end follows, one further up is told how much is new', async () => {
  const share = await shareOf([text('long '.repeat(3000))])
  const page = await openShare(browser, share)
  const atEnd = () => page.waitForFunction(() => scrollY + innerHeight > document.documentElement.scrollHeight - 120)
  await page.evaluate(() => scrollTo(0, 100))
  // What stands above may get its size only now: the reader sees nothing of that.
  const place = () =>
    page
      .locator('.turn')
      .first()
      .evaluate((turn) => Math.round(turn.getBoundingClientRect().top))
  const before = await place()
  await share.sync(...answer([text('news one'), text('news two')]))
  const pill = page.locator('.pill')
  await pill.getByText('2 new').waitFor()
  assert.equal(await place(), before)
  assert.equal(await page.locator('[aria-live]').textContent(), '2 new parts')
  await pill.click()
  await atEnd()
  assert.ok(await pill.isHidden())
  await share.sync(...answer([text('more '.repeat(800))]))
  await page.getByText('more more').last().waitFor()
  await atEnd()
})

test('kinds are hidden and opened by choice, which is remembered', async () => {
  const share = await shareOf([
    text('words'),
    { type: 'reasoning', text: 'thinking', time: { start: 1 } },
    tool('bash', { command: 'x' }, { output: 'out' }),
  ])
  const page = await openShare(browser, share)
  await page.getByText('View', { exact: true }).click()
  await page.getByLabel('Reasoning', { exact: true }).uncheck()
  await page.getByLabel('Open tools').check()
  assert.ok(await page.locator('.part-reasoning').isHidden())
  assert.ok(await page.locator('[data-tool=bash] .body').isVisible())
  await page.reload()
  await page.locator('[data-tool=bash] .body').waitFor()
  assert.ok(await page.locator('.part-reasoning').isHidden())
  await page.keyboard.press('o')
  assert.ok(await page.locator('[data-tool=bash] .body').isHidden())
  await page.getByText('View', { exact: true }).click()
  await page.getByLabel('Dark').check()
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark')
  await page.getByLabel('Side by side').check()
})

test('an undo is honoured', async () => {
  const share = await server.share()
  const kept = prompt('kept')
  const undone = prompt('undone')
  await share.sync(session(), ...kept, ...undone)
  const page = await openShare(browser, share)
  await page.locator('.prompt-text').getByText('undone').waitFor()
  await share.sync(session({ revert: { messageID: undone[0].data.id } }))
  await page.locator('.prompt-text').getByText('undone').waitFor({ state: 'detached' })
  await page.getByText('1 message was undone').waitFor()
  await share.sync(session())
  await page.locator('.prompt-text').getByText('undone').waitFor()
})

test('the session is taken along as Markdown, JSON and one HTML file that works offline', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'export-'))
  const page = await openShare(browser, await shareRecorded(server))
  const download = async (label) => {
    await page.getByText('Share', { exact: true }).click()
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByText(label, { exact: true }).click()])
    await page.keyboard.press('Escape')
    const path = join(dir, file.suggestedFilename())
    await file.saveAs(path)
    return path
  }
  assert.match(await readFile(await download('Markdown'), 'utf8'), /^# Greeting script session/)
  assert.ok(JSON.parse(await readFile(await download('JSON'), 'utf8')).length > 50)
  const path = await download('HTML file, works offline')
  const html = await readFile(path, 'utf8')
  assert.doesNotMatch(html, /<script/)
  const offline = await openPage(browser, { offline: true, javaScriptEnabled: false })
  await offline.goto(pathToFileURL(path).href)
  assert.equal(await offline.locator('.turn').count(), 3)
  assert.ok((await offline.locator('.diff .added').count()) > 0)
  assert.deepEqual([...offline.record.hosts], [])
})

test('without JavaScript the page holds the session', async () => {
  const share = await shareRecorded(server)
  const page = await openPage(browser, { javaScriptEnabled: false })
  await page.goto(share.url)
  assert.match(await page.locator('body').innerText(), /Prompt\s+Write a greeting script and test it/)
})
