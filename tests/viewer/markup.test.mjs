// Markdown as agents write it: no text of it disappears, and formulas keep their characters.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { toHtml } from '../../viewer/markup.js'

/** What a reader sees, without the marks of Markdown: the text of the HTML. */
const seen = (markdown) =>
  toHtml(markdown)
    .replace(/<[^>]*>/g, '')
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')

test('tags that stand in a text are characters of it', () => {
  const texts = [
    'Wrap it in a <details> element so that it folds.\n\nThis comes after it.',
    'Use <kbd>, </kbd>, <mark> and <br>.',
    'A `Vec<T>` is a Vec<T>, and <T as Into<U>>::into is a call.',
    'before <!-- a comment --> after',
    '<details>\n\nnever closed',
    '<details> is closed by </details>, as everybody knows.',
    'not closed: <summary>\n\nand <script>alert(1)</script>',
    '<div align="center">\n<b>bold</b>\n</div>',
    '<!-- a comment\n\nand more -->',
    '</details>',
  ]
  for (const text of texts)
    assert.equal(seen(text).replace(/\s+/g, ' ').trim(), text.replaceAll('`', '').replace(/\s+/g, ' '))
})

test('a fold that is closed and stands as a block is one', () => {
  const html = toHtml('<details>\n<summary>More <b>here</b></summary>\n\nHidden **text**\n\n</details>\n\nafter')
  const [fold, after] = html.split(/\s*<\/details>/)
  const summary = '<summary>More &#60;b&#62;here&#60;/b&#62;</summary>'
  assert.equal(fold, `<details>${summary}<p>Hidden <strong>text</strong></p>`)
  assert.match(after, /^<p>after/)
  assert.match(
    toHtml('<details><summary>One</summary>\ntext\n</details>'),
    /^<details><summary>One<\/summary><p class="html">text<\/p>\s*<\/details>$/,
  )
  assert.match(
    toHtml('- item\n\n  <details open>\n\n  inside\n\n  </details>'),
    /<li>.*<details open>.*inside.*<\/details>.*<\/li>/s,
  )
  const nested = toHtml('<details>\n\n<details>\n\ninner\n\n</details>\n\nouter')
  assert.equal(nested.match(/<details>/g).length, 1, 'the outer one is not closed')
  assert.match(nested, /&#60;details&#62;/)
})

test('a line break in the cell of a table is one, and columns are aligned as they were written', () => {
  const html = toHtml('|a|b|c|\n|:-|-:|:-:|\n|x<br>y|1|`<br>`|')
  assert.match(html, /<td align="left">x<br>y<\/td>\s*<td align="right">1<\/td>\s*<td align="center"><code>&lt;br&gt;/)
})

test('formulas keep their characters', () => {
  const texts = [
    'Inline $a_{ij}*b_{jk}*c$ and \\(x^2\\) and \\[ y = \\frac{1}{2} \\].',
    '$$f*g*h_1_2$$',
    '\\[\n  x\n\n= y_1 * z_2 * w\n\\]',
    'It costs $5 and $10.',
    'a $ b $ c, $HOME/$USER and $x',
    '$\\text{a\\$b}*c*$',
  ]
  for (const text of texts) assert.equal(seen(text).trim(), text)
  assert.doesNotMatch(toHtml('It costs $5 and $10.'), /formula/)
  assert.match(toHtml('`$a*b*c$`'), /<code>\$a\*b\*c\$<\/code>/)
  assert.match(toHtml('**$5** and *$6*'), /<strong>\$5<\/strong> and <em>\$6<\/em>/)
})

test('what looks like the definition of a link, and is none that a link refers to, is a text', () => {
  assert.equal(seen('[INFO]: done').trim(), '[INFO]: done')
  assert.equal(
    toHtml('see [this][1]\n\n[1]: https://example.org').trim(),
    '<p>see <a href="https://example.org">this</a></p>',
  )
})

test('half a surrogate pair is a replacement character', () => {
  assert.equal(seen('half \ud83d and the **whole**').trim(), 'half \ufffd and the whole')
})

test('whatever stands in a text, its words are seen', () => {
  let seed = 3
  const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below
  const pieces = [
    '<details>',
    '</details>',
    '<summary>',
    '</summary>',
    '<b>',
    '<!--',
    '-->',
    '\n\n',
    '\n',
    ' ',
    '> ',
    '- ',
    '$',
    '\\(',
    '\\)',
    '|',
    '<br>',
    '`',
    '[x]: y',
    '<div>',
    '</',
    '**',
  ]
  for (let round = 0; round < 2000; round++) {
    const words = Array.from({ length: 6 }, (_, at) => `word${at}x`)
    const text = words.map((word) => word + pieces[random(pieces.length)] + pieces[random(pieces.length)]).join('')
    const html = toHtml(text)
    for (const word of words) assert.ok(html.includes(word), `${word} of ${JSON.stringify(text)} in ${html}`)
  }
})

test('what a person typed keeps its lines, and a pasted log is code', () => {
  assert.equal(toHtml('one\ntwo **bold**', true), '<p>one<br>two <strong>bold</strong></p>\n')
  const log = Array.from({ length: 12 }, (_, at) => `  at * step ${at} <x>`).join('\n')
  assert.match(
    toHtml(`See:\n\n${log}\n\nand mend it`, true),
    /^<p>See:<\/p>\n<pre><code> {2}at \* step 0 &lt;x&gt;[^]*<p>and mend it<\/p>/,
  )
  const list = Array.from({ length: 14 }, (_, at) => `- item ${at}`).join('\n')
  assert.match(toHtml(list, true), /<ul>/)
  assert.match(toHtml(`\`\`\`js\n${log}\n\`\`\``, true), /language-js/)
})
