// What an OpenCode says on one of its event streams, handed to a relay as a plugin would.

/** Follows the stream at a path. Each event goes on in its turn; `ended` fails when one does not. */
export async function follow(opencode, path, relay) {
  const stop = new AbortController()
  const answer = await fetch(opencode.url + path, { signal: stop.signal })
  const bus = { types: new Set(), close: () => stop.abort() }
  const forward = async () => {
    for await (const event of events(answer.body)) {
      bus.types.add((event.payload ?? event).type)
      const { status, json } = await relay.request('POST', '/v1/events', event)
      if (status !== 202) throw new Error(`${JSON.stringify(event)}: ${status} ${JSON.stringify(json)}`)
    }
  }
  bus.ended = forward().catch((error) => {
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
