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
const page = import('./app.js')
// What opens a sealed session is fetched beside the rest, where the link has a key.
const { keyOf } = await import('./address.js')
if (keyOf(location.hash) !== undefined)
  for (const module of ['load/opener.js', 'load/seal.js', 'vendor/inflate.min.js']) {
    const { href } = new URL(module, import.meta.url)
    document.head.append(Object.assign(document.createElement('link'), { rel: 'modulepreload', href }))
  }
await page
