// What was hidden in a session is found in its texts, and counted by what changes.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { toHtml } from '../../viewer/markup.js'
import { Hidden, piecesOf, placeholdersIn, runsWithSecrets } from '../../viewer/secrets.js'
import { sessionOf } from '../lib/session.mjs'

const TOKEN = '[redacted:github-token-1]'

test('a text falls into what was said and what was hidden, and nothing is lost', () => {
  assert.deepEqual(piecesOf(`a ${TOKEN}${TOKEN} z`), [
    { text: 'a ' },
    { text: TOKEN, secret: 'github token 1' },
    { text: TOKEN, secret: 'github token 1' },
    { text: ' z' },
  ])
  for (const plain of [
    '',
    'nothing',
    '[redacted:',
    '[redacted:x]',
    '[redacted:Upper-1]',
    `[redacted:${'a'.repeat(41)}-1]`,
  ])
    assert.deepEqual(piecesOf(plain), [{ text: plain }])
  assert.equal(piecesOf('[redacted:key-2-13]')[0].secret, 'key 2 13')
})

test('a placeholder that colours have parted is one run', () => {
  const runs = [
    { text: 'x = "[redac', classes: 'a' },
    { text: '', classes: 'b' },
    { text: 'ted:github-token-', classes: 'c' },
    { text: '1]"; end', classes: 'd' },
  ]
  assert.deepEqual(runsWithSecrets(runs), [
    { text: 'x = "', classes: 'a' },
    { text: TOKEN, classes: '', secret: 'github token 1' },
    { text: '"; end', classes: 'd' },
  ])
  const plain = [{ text: 'x', classes: '' }]
  assert.equal(runsWithSecrets(plain), plain)
})

test('Markdown makes no link of one', () => {
  assert.equal(toHtml(`see ${TOKEN}(there)`), `<p>see ${TOKEN}(there)</p>\n`)
  const defined = toHtml(`${TOKEN}\n\n${TOKEN}: https://example.org`)
  assert.equal(defined.split(TOKEN).length, 3, defined)
  assert.ok(!defined.includes('<a'), defined)
})

test('placeholders are found however deep they stand', () => {
  let deep = TOKEN
  for (let at = 0; at < 100_000; at++) deep = [deep]
  assert.deepEqual([...placeholdersIn({ a: deep, '[redacted:key-1]': 1, n: null })].sort(), [TOKEN, '[redacted:key-1]'])
})

test('each is counted once, for as long as an item has it', () => {
  const hidden = new Hidden()
  hidden.put('a', { text: `${TOKEN} ${TOKEN}` })
  hidden.put('b', { text: `${TOKEN} [redacted:key-1]` })
  assert.equal(hidden.count, 2)
  hidden.put('b', { text: 'nothing' })
  assert.equal(hidden.count, 1)
  hidden.append('b', 'begins [redacted:ke', 'y-2] ends')
  assert.equal(hidden.count, 2)
  hidden.append('b', 'begins [redacted:key-2] ends', ' and goes on')
  assert.equal(hidden.count, 2)
  hidden.remove('a')
  hidden.remove('b')
  hidden.remove('never there')
  assert.equal(hidden.count, 0)
})

test('a session knows how many were hidden in it, also in what is added and taken away', () => {
  const part = (text) => ({ type: 'part', data: { id: 'p', messageID: 'm', type: 'text', text } })
  const session = sessionOf([
    { type: 'session', data: { title: '[redacted:key-1]' } },
    { type: 'message', data: { id: 'm', role: 'assistant' } },
    part('one [redacted:key'),
  ])
  assert.equal(session.secrets, 1)
  const added = { key: 'part/m/p', append: { path: '/text', at: 17, text: '-2]' } }
  session.apply({ type: 'items', epoch: 'e', from: 1, seq: 2, items: [added], removed: [], more: false })
  assert.equal(session.secrets, 2)
  session.apply({ type: 'items', epoch: 'e', seq: 3, items: [], removed: ['part/m/p'], more: false })
  assert.equal(session.secrets, 1)
})
