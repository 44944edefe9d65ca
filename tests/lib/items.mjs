// Items of sessions, made up.

let made = 0
const BASE = 1_795_000_000_000

export const session = (data = {}) => ({
  type: 'session',
  data: { id: 'ses_1', title: 'A session', time: { created: BASE, updated: BASE }, ...data },
})

/** A prompt: its message and its text. */
export function prompt(text, ...files) {
  const id = `msg_${String(++made).padStart(6, '0')}`
  return [
    {
      type: 'message',
      data: {
        id,
        role: 'user',
        time: { created: BASE + made },
        agent: 'build',
        model: { providerID: 'p', modelID: 'm' },
      },
    },
    { type: 'part', data: { id: `prt_${id}_0`, messageID: id, type: 'text', text } },
    ...files.map((file, at) => ({
      type: 'part',
      data: { id: `prt_${id}_${at + 1}`, messageID: id, type: 'file', ...file },
    })),
  ]
}

/** An answer: its message and its parts. */
export function answer(parts, info = {}) {
  const id = `msg_${String(++made).padStart(6, '0')}`
  const time = { created: BASE + made, completed: BASE + made + 1500 }
  return [
    {
      type: 'message',
      data: {
        id,
        role: 'assistant',
        time,
        modelID: 'm',
        providerID: 'p',
        cost: 0.01,
        tokens: { input: 10, output: 5 },
        ...info,
      },
    },
    ...parts.map((part, at) => ({
      type: 'part',
      data: { id: `prt_${id}_${String(at).padStart(3, '0')}`, messageID: id, ...part },
    })),
  ]
}

export const text = (words) => ({ type: 'text', text: words })

export const tool = (name, input, state = {}) => ({
  type: 'tool',
  tool: name,
  callID: 'c',
  state: {
    status: 'completed',
    input,
    output: '',
    title: '',
    metadata: {},
    time: { start: BASE, end: BASE + 1200 },
    ...state,
  },
})
