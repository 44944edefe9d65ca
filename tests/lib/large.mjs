// A long session, made up: prompts, answers, shells, edits and reads, the same for the same size.

import { answer, prompt, session, text, tool } from './items.mjs'

const WORDS =
  'the session goes on and on with words that say little but look like prose to whoever scrolls past them'.split(' ')

const prose = (seed, words) =>
  Array.from({ length: words }, (_, at) => WORDS[(seed * 7 + at * 13) % WORDS.length]).join(' ')

const diff = (seed) =>
  `--- a/src/file${seed}.rs\n+++ b/src/file${seed}.rs\n@@ -1,40 +1,40 @@\n` +
  Array.from({ length: 40 }, (_, line) =>
    line % 5 ? ` let value_${line} = ${seed};\n` : `-let old_${line} = ${seed};\n+let new_${line} = ${seed + 1};\n`,
  ).join('')

/** Items of about `parts` parts and `bytes` bytes, in batches. */
export function* largeSession(parts, bytes) {
  const each = Math.max(100, Math.round(bytes / parts))
  yield [session({ title: `A session of ${parts} parts` })]
  for (let made = 0; made < parts;) {
    const turn = [...prompt(`Prompt ${made}: ${prose(made, 20)}`)]
    made += 1
    const answers = []
    for (let at = 0; at < 24 && made < parts; at++, made++) {
      const filler = prose(made, Math.round(each / 5.2))
      const kinds = [
        () => text(`${prose(made, 30)}\n\n- one\n- **two**\n\n\`\`\`rust\nfn part_${made}() {}\n\`\`\`\n\n${filler}`),
        () =>
          tool(
            'bash',
            { command: `make step-${made}` },
            { output: `\x1b[32mok\x1b[0m ${filler.replaceAll(' with ', '\n')}`, metadata: { exit: 0 } },
          ),
        () => tool('edit', { filePath: `/p/src/file${made}.rs` }, { output: filler, metadata: { diff: diff(made) } }),
        () => tool('read', { filePath: `/p/src/file${made}.rs` }, { output: filler }),
        () => ({ type: 'reasoning', text: filler, time: { start: 1, end: 900 } }),
        () => tool('read', { filePath: `/p/other${made}.rs` }, { output: filler }),
      ]
      answers.push(kinds[made % kinds.length]())
    }
    for (let at = 0; at < answers.length; at += 6) turn.push(...answer(answers.slice(at, at + 6)))
    yield turn
  }
}

/** Shares a long session. */
export async function shareLarge(server, parts, bytes) {
  const share = await server.share()
  for (const batch of largeSession(parts, bytes)) await share.sync(...batch)
  return share
}
