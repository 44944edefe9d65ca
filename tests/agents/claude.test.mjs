// Claude Code, which knows nothing of us.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { PROGRAMS } from './programs.mjs'
import { FAIL, LOOK, MEND, Story, WAIT, outline } from './story.mjs'

const DELEGATE = 'Have it counted'
const COUNT = 'Count the lines of the notes'

for (const name of ['claude', 'claudeOld']) {
  const program = PROGRAMS[name]
  test(`${program.agent}, as ${program.alias} is`, async (t) => {
    // Since 2.1 a subagent works beside the session, which hears of its end.
    const words = name === 'claude' ? ['It is being counted.', 'It was counted.'] : ['It was counted.']
    const story = await Story.begin(t, program, {
      [DELEGATE]: [program.delegate(COUNT), ...words],
      [COUNT]: [program.run('wc -l < notes.txt'), 'There are two.'],
    })
    await story.mend()
    await story.look()
    await story.agent.run(DELEGATE, story.own)
    await story.fail()
    await story.interrupt()
    // The older one writes nothing down of a turn that is stopped so soon.
    const stopped = name === 'claude' ? [[WAIT, 'MessageAbortedError']] : []
    await story.end([MEND, 'It is mended.'], [LOOK, 'Two lines.'], [DELEGATE, ...words], [FAIL, 'APIError'], ...stopped)
    const data = await story.data()
    const task = outline(data, story.session).tools.at(-1)
    assert.equal(task.tool, 'task')
    assert.equal(task.state.output, 'There are two.')
    const subagent = outline(data, task.state.metadata.sessionId)
    assert.deepEqual(subagent.turns, [[COUNT, 'There are two.']])
    assert.deepEqual(
      subagent.tools.map(({ state }) => state.output),
      ['2'],
    )
  })
}
