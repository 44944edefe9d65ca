// Somebody who answers in the place of a share server, and prints a line for each request: `impostor.mjs PORT HOW URL`.
// HOW is `foreign`, with a key of its own; `forward`, with what the server at URL answers to the same question, for
// every host that could help; or `replay`, with what that server answered once.

import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { createServer, request } from 'node:http'

const [port, how, url] = process.argv.slice(2)

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const key = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)

/** The first 160 bits of a SHA-256, in base32, in groups of four. */
function fingerprint(bytes) {
  let bits = ''
  for (const byte of createHash('sha256').update(bytes).digest().subarray(0, 20)) {
    bits += byte.toString(2).padStart(8, '0')
  }
  const letters = bits.match(/.{5}/g).map((five) => 'abcdefghijklmnopqrstuvwxyz234567'[parseInt(five, 2)])
  return letters.join('').match(/.{4}/g).join('-')
}

/** As PROTOCOL.md has it. */
function own(nonce, host) {
  const signature = sign(null, `brutus-share server 1\n${nonce}\nhttp://${host}\n`, privateKey).toString('base64')
  return { id: fingerprint(key), key: key.toString('base64'), signature }
}

function ask(nonce, host) {
  return new Promise((resolve, reject) => {
    const question = request(`${url}/api/server?nonce=${nonce}`, { headers: { host } }, async (answer) => {
      resolve(JSON.parse((await answer.toArray()).join('')))
    })
    question.on('error', reject).end()
  })
}

const answers = {
  foreign: own,
  forward: (nonce, host) => ask(nonce, host),
  replay: () => recorded,
}
const recorded = how === 'replay' ? await ask('recorded-a-while-ago', new URL(url).host) : undefined

const server = createServer(async (incoming, response) => {
  const body = (await incoming.toArray()).join('')
  console.log(`request ${incoming.method} ${incoming.url} ${body}`)
  const { pathname, searchParams } = new URL(incoming.url, 'http://impostor')
  const host = incoming.headers.host
  const answer =
    pathname === '/api/server'
      ? await answers[how](searchParams.get('nonce'), host)
      : { id: 'Impostor00000000000000', url: `http://${host}/s/Impostor00000000000000`, secret: 'x' }
  response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
})
server.listen(Number(port), '::', () => console.log(`fingerprint=${fingerprint(key)}`))
