// Gemini CLI, which knows nothing of us.

import { test } from 'node:test'

import { PROGRAMS } from './programs.mjs'
import { LOOK, MEND, Story, WAIT } from './story.mjs'

// It takes a prompt that the model refused out of its session again, and does not write down that it was stopped.
test('Gemini CLI', (t) => Story.tell(t, PROGRAMS.gemini, [MEND, 'It is mended.'], [LOOK, 'Two lines.'], [WAIT]))
