// What runs of tests say at their end is read.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { testResults } from '../../viewer/load/test-results.js'

for (const [runner, output, passed, failed] of [
  [
    'cargo',
    'test result: ok. 18 passed; 0 failed; 0 ignored\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored',
    19,
    1,
  ],
  ['pytest', 'FAILED a.py::test_x\n=== 1 failed, 19 passed, 2 skipped in 0.31s ===\n', 19, 1],
  ['pytest -q', '....\n4 passed in 0.02s\n', 4, 0],
  ['pytest, in colour', '\x1b[31m==== \x1b[1m1 failed\x1b[0m, 2 passed in 1.00s =====\x1b[0m', 2, 1],
  ['jest', 'Tests:       1 failed, 2 skipped, 19 passed, 22 total\nTime: 2 s', 19, 1],
  ['vitest', ' Test Files  1 failed | 2 passed (3)\n      Tests  3 failed | 14 passed (17)\n', 14, 3],
  ['node', '# tests 7\n# pass 6\n# fail 1\n# cancelled 0', 6, 1],
  ['go -v', '=== RUN TestA\n--- PASS: TestA (0.00s)\n--- FAIL: TestB (0.00s)\nFAIL', 1, 1],
  ['go', 'ok  \texample.org/a\t0.01s\nFAIL\texample.org/b\t0.02s\nFAIL', 1, 1],
  ['bun', '\n 12 pass\n 3 fail\n 15 expect() calls', 12, 3],
  ['mocha', '  5 passing (10ms)\n  1 failing', 5, 1],
  ['rspec', 'Finished in 0.1 seconds\n5 examples, 2 failures', 3, 2],
  ['unittest', 'Ran 5 tests in 0.001s\n\nFAILED (failures=1, errors=1)', 3, 2],
  ['unittest, good', 'Ran 1 test in 0.000s\n\nOK', 1, 0],
])
  test(runner, () => assert.deepEqual(testResults(output), { passed, failed }))

test('other words are no tests, however long they are', () => {
  for (const words of [
    '',
    'ok',
    '3 files changed',
    'I passed 4 of them',
    'FAIL',
    'a '.repeat(500_000),
    '='.repeat(100_000),
  ])
    assert.equal(testResults(words), undefined)
})
