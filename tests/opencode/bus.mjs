// What an OpenCode says on one of its event streams, handed to a relay as a plugin would.

/** Follows the stream at a path. Each event goes on in its turn; `ended` fails when one does not. */
export function follow(opencode, path, relay) {
  return onEvents(opencode, path, async (event) => {
    const { status, json } = await relay.request('POST', '/v1/events', event)
    if (status !== 202) throw new Error(`${JSON.stringify(event)}: ${status} ${JSON.stringify(json)}`)
  })
}

/** Has something done at each event of the stream at a path, in their turn. */
export async function onEvents(opencode, path, handle) {
  const stop = new AbortController()
  const answer = await fetch(opencode.url + path, { signal: stop.signal })
  let happened = () => {}
  const bus = {
    types: new Set(),
    close: () => stop.abort(),
    /** Done when something holds after one of the events. */
    until: (holds) =>
      new Promise((resolve, reject) => {
        happened = () => holds().then((done) => done && resolve(), reject)
        happened()
      }),
  }
  const run = async () => {
    for await (const event of events(answer.body)) {
      bus.types.add((event.payload ?? event).type)
      await handle(event)
      happened()
    }
  }
  bus.ended = run().catch((error) => {
    if (!stop.signal.aborted) throw error
  })
  return bus
}

async function* events(body) {
  let rest = ''
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) if (line.startsWith('data:')) yield JSON.parse(line.slice(5))
  }
}
