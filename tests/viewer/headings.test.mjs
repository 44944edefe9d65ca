// What the outline shows of answers and prompts.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { different, headingsOf } from '../../viewer/load/headings.js'

test('headings are those of the text, not of the code in it', () => {
  const text =
    '# One\nwords\n```sh\n# no heading\n```\n#no\n### **Three** `x` ##\n~~~\n## no\n```\n## no\n~~~\n   ## Two'
  assert.deepEqual(headingsOf(text), [
    { level: 1, text: 'One' },
    { level: 3, text: 'Three x' },
    { level: 2, text: 'Two' },
  ])
})

test('prompts that begin alike are told apart by what differs', () => {
  const begin = 'Please look at the file src/main.rs and'
  assert.deepEqual(different([`${begin} mend it`, `${begin} test it`, 'Short a', 'Short b', begin, begin]), [
    `${begin} mend it`,
    '… test it',
    'Short a',
    'Short b',
    begin,
    begin,
  ])
})
