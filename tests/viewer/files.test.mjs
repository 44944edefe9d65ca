// Files as data URLs, as clients of all kinds write them.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { bytesOf, fileName, parseDataUrl, pictureUrl, textOf } from '../../viewer/files.js'
import { processorTime } from '../lib/cost.mjs'

test('pictures are known by any of their names, with and without parameters', () => {
  const cases = [
    ['data:image/jpg;base64,AA', '', 'data:image/jpeg;base64,AA'],
    ['data:IMAGE/PNG;BASE64,AA', '', 'data:image/png;base64,AA'],
    ['data:image/png;charset=utf-8;name="a,b.png";base64,AA', '', 'data:image/png;base64,AA'],
    ['data:image/png;charset=utf-8;name=a.png;base64,AA', '', 'data:image/png;base64,AA'],
    ['data:image/x-ms-bmp;base64,A A\nA', '', 'data:image/bmp;base64,AAA'],
    ['data:image/webp;base64,AA', 'text/plain', 'data:image/webp;base64,AA'],
    ['data:image/avif;base64,AA', '', 'data:image/avif;base64,AA'],
    ['data:application/octet-stream;base64,AA', 'image/png; x=y', 'data:image/png;base64,AA'],
    ['data:;base64,AA', 'image/gif', 'data:image/gif;base64,AA'],
    ['data:image/svg+xml,%3Csvg/%3E', '', 'data:image/svg+xml,%3Csvg/%3E'],
    ['data:image/svg+xml;utf8,<svg/>', '', 'data:image/svg+xml,<svg/>'],
    ['data:text/html;base64,AA', 'image/png', undefined],
    ['data:image/tiff;base64,AA', '', undefined],
    ['data:image/png;base64', '', undefined],
    ['https://example.org/a.png', 'image/png', undefined],
    ['data:constructor,x', 'constructor', undefined],
    ['', 'image/png', undefined],
  ]
  for (const [url, type, picture] of cases) assert.equal(pictureUrl(url, type), picture, url)
})

test('bytes are what was encoded, and nothing when it cannot be read', () => {
  const read = (url) => {
    const bytes = bytesOf(url)
    return bytes && [...bytes]
  }
  assert.deepEqual(read('data:x/y;base64,AP8Q'), [0, 255, 16])
  assert.deepEqual(read('data:x/y;base64,AP8Q%3D%3D'), undefined)
  assert.deepEqual(read('data:x/y;base64,AP%38Q'), [0, 255, 16])
  assert.deepEqual(read('data:x/y;base64,!'), undefined)
  assert.deepEqual(read('data:,a%20%zz%'), [97, 32, 37, 122, 122, 37])
  assert.deepEqual(read('data:,%C3%BC'), [0xc3, 0xbc])
  assert.deepEqual(read('http://x'), undefined)
})

test('texts are shown as texts, and nothing else is', () => {
  const base64 = (text) => Buffer.from(text).toString('base64')
  assert.equal(textOf(`data:text/plain;base64,${base64('hello wörld')}`), 'hello wörld')
  assert.equal(textOf('data:text/plain;charset=iso-8859-1,%FC'), 'ü')
  assert.equal(textOf('data:text/csv;charset=nonsense,a%2Cb'), 'a,b')
  assert.equal(textOf(`data:application/json;base64,${base64('{}')}`), '{}')
  assert.equal(textOf(`data:application/vnd.api+json;base64,${base64('{}')}`), '{}')
  assert.equal(textOf(`data:;base64,${base64('# hi')}`, 'text/markdown'), '# hi')
  assert.equal(textOf('data:application/pdf;base64,JVBERi0xLjQ'), undefined)
  assert.equal(textOf('data:application/octet-stream;base64,AA'), undefined)
})

test('a name is that of a file, wherever it says that it is', () => {
  const names = [
    'a.pdf',
    '../../etc/passwd',
    'C:\\x\\y.txt',
    '.hidden',
    'a\u202Egpj.exe',
    'a\nb',
    '',
    '..',
    'x'.repeat(500),
  ]
  assert.deepEqual(
    names.map((name) => fileName(name)),
    ['a.pdf', 'passwd', 'y.txt', 'hidden', 'agpj.exe', 'ab', 'file', 'file', 'x'.repeat(120)],
  )
})

test('a URL of many characters without a comma is no matter', () => {
  const ms = processorTime(() => {
    for (const piece of [';', ';a', 'a', ';base64', ' ']) parseDataUrl(`data:${piece.repeat(1_000_000)}`)
  })
  assert.ok(ms < 1000, `${ms} ms`)
})
