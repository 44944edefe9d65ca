// Codex, which knows nothing of us.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { PROGRAMS } from './programs.mjs'
import { FAIL, LOOK, MEND, Story, WAIT, outline } from './story.mjs'

const DELEGATE = 'Have it counted'
const COUNT = 'Count the lines of the notes'

const DONE = [
  [MEND, 'It is mended.'],
  [LOOK, 'Two lines.'],
]

test('Codex', async (t) => {
  const program = PROGRAMS.codex
  const story = await Story.begin(t, program, {
    [DELEGATE]: [program.delegate(COUNT), program.wait, 'It was counted.'],
    [COUNT]: [program.run('wc -l < notes.txt'), 'There are two.'],
  })
  await story.mend()
  await story.look()
  await story.agent.run(DELEGATE, story.own)
  await story.fail()
  await story.interrupt()
  const delegated = [DELEGATE, 'It was counted.']
  await story.end(...DONE, delegated, [FAIL, 'APIError'], [WAIT, 'MessageAbortedError'])
  const data = await story.data()
  const task = outline(data, story.session).tools.find(({ tool }) => tool === 'task')
  assert.equal(task.state.output, 'There are two.')
  // What it was asked is encrypted; of what its transcript repeats of the session's nothing is its own.
  const { sessionId } = task.state.metadata
  const said = data.filter(({ type, data: part }) => type === 'part' && part.sessionID === sessionId)
  assert.deepEqual(
    said.map(({ data: { type, text, state } }) => (type === 'text' ? text : state.output.trim())),
    ['2', 'There are two.'],
  )
})

// It does not write down that the model failed, and not always that it was stopped.
test('Codex, an older one', async (t) => {
  const story = await Story.begin(t, PROGRAMS.codexOld)
  await story.mend()
  await story.look()
  await story.fail()
  await story.end(...DONE, [FAIL])
})
