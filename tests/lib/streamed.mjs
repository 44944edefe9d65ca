// A long answer that grows while it is looked at: prose, lists, code and tables.

import { answer, prompt, session, text } from './items.mjs'

const section = (nth) =>
  [
    `## Part ${nth}\n`,
    `Some **words** with \`code\` and a [link](https://example.org/${nth}) that go on and on for a while.\n`,
    `- one item\n- another *item*\n\n\`\`\`rust\nfn part_${nth}() -> usize {\n    ${nth}\n}\n\`\`\`\n`,
    `| a | b |\n|---|---|\n| ${nth} | x |\n\n`,
  ].join('\n')

/**
 * Shares a session whose one answer grows to so many characters in so many steps: `append` sends the next, and `seen`
 * waits until a page shows all of it.
 */
export async function streamed(server, characters, steps) {
  let whole = ''
  let sections = 0
  for (; whole.length < characters; sections++) whole += section(sections)
  const items = [...prompt('Write a lot'), ...answer([text('Begin')])]
  delete items[2].data.time.completed
  const share = await server.share()
  await share.sync(session(), ...items)
  let step = 0
  const append = async () => {
    step += 1
    items[3].data.text = whole.slice(0, Math.ceil((whole.length * step) / steps))
    await share.sync(items[3])
  }
  const seen = (page) =>
    page.waitForFunction(
      (words) => [...document.querySelectorAll('.markdown h4')].at(-1)?.textContent === words,
      `Part ${sections - 1}`,
    )
  return { share, append, seen }
}
