// What a link's key opens: by the vectors that every implementation is held to, by what another one seals, and never
// by anything else.

import assert from 'node:assert/strict'
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { Keys, fromBase64, isKey, isSealed, toBase64 } from '../../viewer/load/seal.js'
import { SealingKeys, padme, randomKey } from '../lib/sealing.mjs'

const vectors = JSON.parse(await readFile(new URL('../fixtures/sealed/vectors.json', import.meta.url), 'utf8'))
const { link, share } = vectors

for (const { phrase, ...told } of vectors.cases)
  test(`the vectors, ${phrase ? `with the phrase ${phrase}` : 'without a phrase'}`, async () => {
    const keys = await Keys.of(link, phrase ?? undefined)
    assert.deepEqual([keys.check, keys.door], [told.check, told.door])
    const sum = Buffer.alloc(32)
    for (const { id, v, body, c } of told.items) {
      assert.ok(isSealed({ id, v, c }))
      assert.deepEqual(await keys.open(share, { id, v, c }), JSON.parse(body))
      for (const [at, byte] of (await keys.tagOf(id, v)).entries()) sum[at] ^= byte
    }
    assert.equal(toBase64(sum), told.set_value)
    assert.deepEqual(await keys.open(share, told.manifest), JSON.parse(told.manifest.body))
    const { deflated } = told
    if (!deflated) return
    const opened = JSON.stringify(await keys.open(share, deflated))
    assert.equal(createHash('sha256').update(opened).digest('hex'), deflated.body_sha256)
  })

test('the client that tests seal with makes the vectors', () => {
  for (const [length, padded] of vectors.padme) assert.equal(padme(length), padded)
  for (const { phrase, ...told } of vectors.cases) {
    const keys = new SealingKeys(link, phrase ?? undefined)
    assert.deepEqual([keys.check, keys.door], [told.check, told.door])
    for (const { key, id, v, nonce, body, c } of told.items) {
      assert.equal(keys.itemOf(key), id)
      const { data } = keys.seal(share, id, v, body, { nonce: Buffer.from(nonce, 'hex') })
      assert.equal(data.c, c)
    }
  }
})

test('whatever another client seals is opened', async () => {
  const key = randomKey()
  const [sealing, keys] = [new SealingKeys(key), await Keys.of(key)]
  const words = ['plain ', 'é', '🦀', '\ud83d', '\u0000', 'x'.repeat(500), '{"a":1}']
  for (let nth = 0; nth < 200; nth++) {
    const text = Array.from({ length: randomInt(60) }, () => words[randomInt(words.length)]).join('')
    const body = { type: 'part', data: { id: `prt_${nth}`, messageID: 'msg_1', type: 'text', text } }
    const v = randomInt(2 ** 47)
    const { data } = sealing.seal('a share', sealing.itemOf(`part/msg_1/prt_${nth}`), v + 1, body)
    assert.ok(isSealed(data))
    assert.deepEqual(await keys.open('a share', data), body)
  }
})

test('nothing opens elsewhere, under another name, as another version, with another key, or changed', async () => {
  const keys = await Keys.of(link)
  const [item] = vectors.cases[0].items
  const opens = (share, item) =>
    keys.open(share, item).then(
      () => true,
      () => false,
    )
  const swapped = (text, at) => text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
  assert.ok(await opens(share, item))
  for (let at = 0; at < share.length; at++) assert.ok(!(await opens(swapped(share, at), item)))
  for (let at = 0; at < item.id.length; at++) assert.ok(!(await opens(share, { ...item, id: swapped(item.id, at) })))
  for (const v of [0, 2, 10, 11]) assert.ok(!(await opens(share, { ...item, v })))
  const bytes = fromBase64(item.c)
  for (let bit = 0; bit < bytes.length * 8; bit += 5) {
    const changed = bytes.slice()
    changed[bit >> 3] ^= 1 << (bit & 7)
    assert.ok(!(await opens(share, { ...item, c: toBase64(changed) })), `bit ${bit}`)
  }
  for (let length = 0; length < bytes.length; length++)
    assert.ok(!(await opens(share, { ...item, c: toBase64(bytes.subarray(0, length)) })), `${length} bytes`)
  for (const c of ['', 'A', '!', 'é', ' ', item.c + 'A', toBase64(randomBytes(300))])
    assert.ok(!(await opens(share, { ...item, c })), c)
  await assert.rejects((await Keys.of(swapped(link, 3))).open(share, item))
  await assert.rejects((await Keys.of(link, 'a phrase')).open(share, item))
})

test('what was sealed by the right key and is no item is refused', async () => {
  const key = randomKey()
  const [sealing, keys] = [new SealingKeys(key), await Keys.of(key)]
  const id = sealing.nameOf('session')
  const sealed = (body, how) => sealing.seal(share, id, 1, body, how).data
  for (const [name, item] of Object.entries({
    'no JSON': sealed('{"type":'),
    'a text': sealed('"session"'),
    'a list': sealed('[]'),
    'no type': sealed('{"data":{}}'),
    'a type that is no text': sealed('{"type":{}}'),
    'longer than it is': sealed('{"type":"session"}', { length: 1000 }),
    'shorter than it is': sealed('{"type":"session"}', { length: 3 }),
    'the longest': sealed('{"type":"session"}', { length: 2 ** 32 - 1 }),
    'an encoding that is not known': sealed('{"type":"session"}', { encoding: 2 }),
    'no deflate': sealed('{"type":"session"}', { encoding: 1 }),
    'half surrogates as bytes': sealed(Buffer.from([...Buffer.from('{"type":"'), 0xed, 0xa0, 0xbd, 0x22, 0x7d])),
    'a bomb': sealed(`{"type":"${'x'.repeat(80 << 20)}"}`),
  }))
    await assert.rejects(keys.open(share, item), undefined, name)
})

test('what is a sealed item and a whole key, and what is none', () => {
  const name = 'A'.repeat(22)
  for (const id of [name, `${name}/${name}`, `${name}/${name}/12`, `${name}/0`])
    assert.ok(isSealed({ id, v: 1, c: '' }))
  for (const id of ['', 'A', `${name}/`, `/${name}`, `${name}/${name}/${name}`, `${name}/x`, `${name}\n`, 7, undefined])
    assert.ok(!isSealed({ id, v: 1, c: '' }), String(id))
  for (const v of [0, -1, 1.5, '1', 2 ** 53, NaN, undefined]) assert.ok(!isSealed({ id: name, v, c: '' }), String(v))
  for (const other of [undefined, null, [], 'x', { id: name, v: 1 }, { id: name, v: 1, c: 7 }])
    assert.ok(!isSealed(other))
  assert.ok(isKey(link))
  for (const key of ['', link.slice(1), `${link}x`, `${link.slice(1)}-`, `${link}\n`]) assert.ok(!isKey(key), key)
})
