// Begins the page: what the server wrote into it is painted first, and then its modules are fetched, all at once.

const drawn = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = resolve
    // A message that is sent before a frame comes behind it.
    requestAnimationFrame(() => port2.postMessage(undefined))
  })

// A page in the background draws no frames.
if (!document.hidden) await drawn()
document.head.append(document.querySelector('template.modules').content)
await import('./app.js')
