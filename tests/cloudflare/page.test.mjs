// The page of packaging/cloudflare is the page of `serve`: the same files under the same paths.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Server } from '../lib/server.mjs'
import { Workerd } from '../lib/workerd.mjs'

let servers

before(async () => {
  servers = await Promise.all([Server.start(), Workerd.start()])
})

after(() => Promise.all(servers.map((server) => server.close())))

const html = { headers: { accept: 'text/html' } }

/** What of an answer a browser goes by, compression aside. */
async function seen(url, options) {
  const answer = await fetch(url, options)
  const headers = ['cache-control', 'content-security-policy', 'content-type', 'cross-origin-resource-policy']
  const named = headers.map((name) => [name, answer.headers.get(name)?.toLowerCase().replace('; ', ';')])
  return { status: answer.status, headers: Object.fromEntries(named), text: await answer.text() }
}

test('the pages are the same, but for what the server writes into them', async () => {
  // What stands between the head's first lines and its icon, and in the place of the session.
  const bare = (text) =>
    text.replace(/<title>[^]*(?=<link rel="icon")/, '').replace(/(<div class="written">)[^]*(?=<\/main>)/, '$1')
  const pages = await Promise.all(
    servers.map(async (server) => {
      const { url, id } = await server.share()
      const paths = ['/', `/s/${id}`, `/embed/${id}`, '/s/0123456789abcdefABCDEF']
      assert.equal(url, `${server.url}/s/${id}`)
      return Promise.all(paths.map(async (path) => ({ ...(await seen(server.url + path, html)) })))
    }),
  )
  const [ours, theirs] = pages.map((all) => all.map((page) => ({ ...page, text: bare(page.text) })))
  assert.deepEqual(theirs, ours)
})

test('the files are the same, and so are their headers', async () => {
  const [{ text }] = await Promise.all(
    servers.slice(0, 1).map(async (server) => seen((await server.share()).url, html)),
  )
  const files = [...new Set([...text.matchAll(/"\.\.\/(assets\/[^"]+)"/g)].map(([, path]) => path))]
  assert.ok(files.length > 20)
  for (const file of files) {
    const [ours, theirs] = await Promise.all(servers.map((server) => seen(`${server.url}/${file}`)))
    assert.deepEqual(theirs, ours, file)
  }
})
