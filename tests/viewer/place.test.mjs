// Where a page stands, whatever stands before its share in the address and behind it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { placeOf } from '../../viewer/place.js'

test('the share, and where the addresses of its server begin', () => {
  const cases = {
    'https://host/s/ID': ['ID', 'https://host/'],
    'https://host/share/ID?x#part': ['ID', 'https://host/'],
    'https://host:81/a/b/s/ID': ['ID', 'https://host:81/a/b/'],
    'https://host/share/s/ID': ['ID', 'https://host/share/'],
    'https://host/s/share/ID/': ['ID', 'https://host/s/'],
    'https://host//s//ID//': ['ID', 'https://host/'],
    'https://host/s/ID).': ['ID', 'https://host/'],
    'https://host/elsewhere': ['elsewhere', 'https://host/'],
  }
  for (const [href, [id, base]] of Object.entries(cases))
    assert.deepEqual(placeOf(href), { id, base, isEmbedded: false }, href)
})

test('what is for frames of other pages stands under an address of its own', () => {
  for (const base of ['https://host/', 'https://host/s/share/embed/'])
    assert.deepEqual(placeOf(`${base}embed/ID#part`), { id: 'ID', base, isEmbedded: true })
})
