// pi, which knows nothing of us.

import { test } from 'node:test'

import { PROGRAMS } from './programs.mjs'
import { FAIL, LOOK, MEND, Story, WAIT } from './story.mjs'

test('pi', (t) =>
  Story.tell(
    t,
    PROGRAMS.pi,
    [MEND, 'It is mended.'],
    [LOOK, 'Two lines.'],
    [FAIL, 'APIError'],
    [WAIT, 'MessageAbortedError', 'Half an answer'],
  ))
