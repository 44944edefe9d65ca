// Where words stand in a text. Pure, and linear in the text.

const isPartOfWord = /[\p{L}\p{N}_]/u

// The one letter whose small form is longer: places would be those of another text.
const lowered = (text) => text.replaceAll('İ', 'i').toLowerCase()

/** The places of words in a text, at most so many; `isCase` and `isWord` say how alike they have to be. */
export function placesOf(text, words, { isCase = false, isWord = false } = {}, max = Infinity) {
  const [whole, sought] = isCase ? [text, words] : [lowered(text), lowered(words)]
  const places = []
  if (!sought) return places
  for (let at = whole.indexOf(sought); at >= 0 && places.length < max; at = whole.indexOf(sought, at + sought.length)) {
    const isInside = isPartOfWord.test(whole[at - 1] ?? '') || isPartOfWord.test(whole[at + sought.length] ?? '')
    if (!isWord || !isInside) places.push(at)
  }
  return places
}

/**
 * The places of words in texts that stand one behind the other, at most so many, each as where it begins and ends:
 * `[[text, offset], [text, offset]]`.
 */
export function placesAmong(texts, words, alike, max) {
  let text = 0
  let begin = 0
  const placeOf = (at) => {
    while (at > begin + texts[text].length) begin += texts[text++].length
    return [text, at - begin]
  }
  return placesOf(texts.join(''), words, alike, max).map((at) => {
    // Its first character stands in the text that it begins in.
    const [first, offset] = placeOf(at + 1)
    return [[first, offset - 1], placeOf(at + words.length)]
  })
}

// Characters that are shown before a match, and of its line in all.
const [BEFORE, LINE] = [40, 140]

/** The line in which a match stands, cut to what a list can show: `[before, match, after]`. */
export function lineAround(text, at, length) {
  const begin = Math.max(text.lastIndexOf('\n', at - 1) + 1, at - BEFORE)
  const end = text.indexOf('\n', at + length)
  const until = Math.min(end < 0 ? text.length : end, begin + LINE)
  const before = text.slice(begin, at).trimStart()
  const isCut = begin > 0 && text[begin - 1] !== '\n'
  return [
    `${isCut ? '…' : ''}${before}`,
    text.slice(at, at + length),
    text.slice(at + length, Math.max(until, at + length)),
  ]
}
