// POST /pub/{channel}?key=K stores the body and sends it to the channel's WebSockets; POST /batch/{channel} does it
// with an array of {key}; GET /sub/{channel} is a WebSocket, with ?replay=1 it begins with all that is stored.

export class Channel {
  constructor(state) {
    this.state = state
  }

  async fetch(request) {
    const url = new URL(request.url)
    if (url.pathname.startsWith("/sub/")) {
      const [client, server] = Object.values(new WebSocketPair())
      this.state.acceptWebSocket(server)
      if (url.searchParams.has("replay")) {
        for (const text of (await this.state.storage.list()).values()) server.send(text)
      }
      return new Response(null, { status: 101, webSocket: client })
    }
    const body = await request.text()
    if (url.pathname.startsWith("/batch/")) {
      const items = JSON.parse(body)
      await this.state.storage.put(Object.fromEntries(items.map((item) => [item.key, JSON.stringify(item)])))
    } else {
      await this.state.storage.put(url.searchParams.get("key"), body)
    }
    // The answer waits for the disk; so do the viewers.
    await this.state.storage.sync()
    for (const socket of this.state.getWebSockets()) socket.send(body)
    return new Response("")
  }
}

export default {
  fetch(request, env) {
    const channel = new URL(request.url).pathname.split("/")[2]
    return env.CHANNEL.get(env.CHANNEL.idFromName(channel)).fetch(request)
  },
}
