// What a run of tests says at its end, as the well-known runners write it. Pure, linear in the end of the output.

// The summary stands there.
const TAIL = 16_000

const sum = (matches) => matches.reduce((sum, [, count]) => sum + Number(count), 0)

// Each runner by what its summary looks like, and what counts in it.
const RUNNERS = [
  // cargo: one line for each binary.
  [/^test result: \w+\. \d+ passed; \d+ failed/m, /(\d+) passed; \d+ failed/g, /\d+ passed; (\d+) failed/g],
  // pytest, with or without its frame.
  [
    /^=* ?(?:\d+ \w+, )*\d+ (?:passed|failed|errors?)\b.* in [\d.]+ ?s\b/m,
    /(\d+) passed/g,
    /(\d+) (?:failed|errors?)/g,
  ],
  // jest and vitest
  [/^\s*Tests:? +.*\b(?:passed|failed)\b/m, /^\s*Tests:? +.*?(\d+) passed/gm, /^\s*Tests:? +.*?(\d+) failed/gm],
  // node, as TAP and as a report
  [/^(?:#|ℹ) pass \d+$/m, /^(?:#|ℹ) pass (\d+)$/gm, /^(?:#|ℹ) fail (\d+)$/gm],
  // go: each test with -v, or else each package.
  [/^\s*--- (?:PASS|FAIL): /m, /^(\s*--- PASS: )/gm, /^(\s*--- FAIL: )/gm, true],
  [/^(?:ok|FAIL)\s+\S+\s+(?:[\d.]+s|\(cached\))/m, /^(ok)\s+\S+\s/gm, /^(FAIL)\s+\S+\s/gm, true],
  // bun
  [/^ *\d+ pass$/m, /^ *(\d+) pass$/gm, /^ *(\d+) fail$/gm],
  // mocha
  [/^ *\d+ passing\b/m, /^ *(\d+) passing\b/gm, /^ *(\d+) failing\b/gm],
  // rspec
  [/^\d+ examples?, \d+ failures?/m, /(?!)()/g, /^\d+ examples?, (\d+) failures?/gm, false, /^(\d+) examples?/gm],
]

/** `{ passed, failed }` of an output; nothing when no runner wrote it. */
export function testResults(output) {
  const tail = output.slice(-TAIL).replace(/\x1b\[[\d;]*m/g, '')
  const lines = tail.split('\n')
  return ofUnittest(lines) ?? ofRunners(tail)
}

function ofRunners(tail) {
  for (const [summary, passes, failures, isEach, all] of RUNNERS) {
    const found = summary.exec(tail)
    if (!found) continue
    // A list of all tests may hold the words of a summary: only what stands from its first on counts.
    const words = isEach ? tail : tail.slice(found.index)
    const count = (kind) => (isEach ? [...words.matchAll(kind)].length : sum([...words.matchAll(kind)]))
    const failed = count(failures)
    return { passed: all ? count(all) - failed : count(passes), failed }
  }
  return undefined
}

/** Python's unittest: `Ran 5 tests in 0.1s`, then `OK` or `FAILED (failures=1, errors=1)`. */
function ofUnittest(lines) {
  const at = lines.findLastIndex((line) => /^Ran \d+ tests? in /.test(line))
  const end = lines.slice(at + 1).find((line) => /^(?:OK|FAILED)\b/.test(line))
  if (at < 0 || end === undefined) return undefined
  const failed = sum([...end.matchAll(/(?:failures|errors)=(\d+)/g)])
  return { passed: Number(/\d+/.exec(lines[at])[0]) - failed, failed }
}
