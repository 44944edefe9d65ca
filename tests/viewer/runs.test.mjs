// Coloured code as runs of text, out of the HTML of the library that colours it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { markedRuns, runsOf } from '../../viewer/runs.js'
import hljs from '../../viewer/vendor/highlight.min.js'

test('each run has the innermost class that it stands in', () => {
  const html = 'a <span class="s">&quot;x <span class="u">${y}</span> z&#x27;</span> &lt;b&gt; &amp;&amp; c'
  assert.deepEqual(
    runsOf(html).map(({ text, classes }) => `${text}|${classes}`),
    ['a |', '"x |s', '${y}|u', " z'|s", ' <b> && c|'],
  )
})

test('code is the same text, whatever stands in it', () => {
  const codes = [
    'fn main() { println!("<b>&amp;</b> \'x\' {}", 1 & 2); } // <script>',
    '<p class="x">&lt;</p><!-- "a" -->',
    'const x = `a ${`b ${c}`} d` && "\u2028"',
    '',
  ]
  for (const code of codes) {
    for (const language of hljs.listLanguages()) {
      const runs = runsOf(hljs.highlight(code, { language, ignoreIllegals: true }).value)
      assert.equal(runs.map(({ text }) => text).join(''), code, language)
    }
  }
})

test('marks lie over colours', () => {
  const runs = [
    { text: 'let', classes: 'k' },
    { text: ' a = ', classes: '' },
    { text: '12', classes: 'n' },
  ]
  const ranges = [
    { from: 1, to: 5 },
    { from: 8, to: 9 },
  ]
  assert.deepEqual(
    markedRuns(runs, ranges).map(({ text, classes, isMarked }) => `${text}|${classes}|${isMarked ? 'x' : ''}`),
    ['l|k|', 'et|k|x', ' a||x', ' = ||', '1|n|x', '2|n|'],
  )
  assert.deepEqual(markedRuns(runs, []), runs)
})
