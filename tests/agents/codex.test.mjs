// Codex, which knows nothing of us.

import { test } from 'node:test'

import { PROGRAMS } from './programs.mjs'
import { FAIL, LOOK, MEND, Story, WAIT } from './story.mjs'

const DONE = [
  [MEND, 'It is mended.'],
  [LOOK, 'Two lines.'],
]

test('Codex', (t) => Story.tell(t, PROGRAMS.codex, ...DONE, [FAIL, 'APIError'], [WAIT, 'MessageAbortedError']))

// It writes down neither that the model failed nor that it was stopped.
test('Codex, an older one', (t) => Story.tell(t, PROGRAMS.codexOld, ...DONE, [FAIL], [WAIT]))
