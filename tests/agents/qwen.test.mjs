// Qwen Code, which knows nothing of us.

import { test } from 'node:test'

import { PROGRAMS } from './programs.mjs'
import { FAIL, LOOK, MEND, Story, WAIT } from './story.mjs'

// It writes down what it has of an answer when it is stopped, and not that it was.
test('Qwen Code', (t) =>
  Story.tell(
    t,
    PROGRAMS.qwen,
    [MEND, 'It is mended.'],
    [LOOK, 'Two lines.'],
    [FAIL, 'APIError'],
    [WAIT, 'Half an answer'],
  ))
