// Codex, which knows nothing of us.

import { test } from 'node:test'

import { PROGRAMS } from './programs.mjs'
import { FAIL, LOOK, MEND, Story, WAIT } from './story.mjs'

const DONE = [
  [MEND, 'It is mended.'],
  [LOOK, 'Two lines.'],
]

test('Codex', (t) => Story.tell(t, PROGRAMS.codex, ...DONE, [FAIL, 'APIError'], [WAIT, 'MessageAbortedError']))

// It does not write down that the model failed, and not always that it was stopped.
test('Codex, an older one', async (t) => {
  const story = await Story.begin(t, PROGRAMS.codexOld)
  await story.mend()
  await story.look()
  await story.fail()
  await story.end(...DONE, [FAIL])
})
