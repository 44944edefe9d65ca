// The share server's HTTP side on Cloudflare: paths, headers, who may ask, and the page. What a share is, and all that
// is stored, is its Durable Object's (share.js). Files below /assets are served before this is asked.

import * as pages from './dist/pages.js'
import { fieldsOfBody, parse, secondsOf } from './json.js'
import { lockByDoor, lockByPassword, passwordOf } from './lock.js'
import { Refusal, answered } from './refusal.js'
import { sealOf } from './sealed.js'
import { NO_PASSWORD, PAST_A_LOCK, hashOf, textOf } from './share.js'

export { Share } from './share.js'

const MAX_SMALL_BODY = 64 << 10
const MAX_SESSION_ID = 256
const SEAL = '{version: 1, check, door?}: 16 bytes and the SHA-256 of 32 bytes, both in base64url'
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const ID = /^[0-9A-Za-z]{22}$/

/** What may stand behind a link in somebody's text and be taken for a part of it. */
const BEHIND_LINKS = /[.,;:!?)\]}>"'*_`…’”»]+$/

const READS = 'GET, HEAD'

/** Paths, what stands in them, the methods that they know, and whether pages of any origin may read them. */
const ROUTES = [
  [/^\/api\/share$/, { POST: create }],
  [/^\/api\/share\/([^/]+)$/, { GET: ask('/summary'), PATCH: ask('/amend'), DELETE: ask('/delete') }, true],
  [
    /^\/api\/share\/([^/]+)\/(data|items)$/,
    { GET: ({ found: [, id, what], ...request }) => askShare(request, id, `/${what}`) },
    true,
  ],
  [/^\/api\/share\/([^/]+)\/sync$/, { POST: ask('/sync') }],
  [/^\/api\/share\/([^/]+)\/open$/, { POST: ask('/open') }],
  [/^\/api\/share\/([^/]+)\/poll$/, { GET: ask('/poll') }, false, 'GET'],
  [/^\/(?:s|share|embed)\/([^/]+)(\/?)$/, { GET: page }, true],
  [/^\/$/, { GET: start }],
  [/^\/assets\/(?:[0-9a-f]{16}\/)?(.+)$/, { GET: asset }],
  [/^\/healthz$/, { GET: () => Response.json({ status: 'ok' }) }],
  [/^\/readyz$/, { GET: () => Response.json({ status: 'ready' }) }],
]

export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    const [, token, path] = /^(?:\/t\/([^/]+)(?=\/api\/shares?(?:\/|$)))?(.*)$/.exec(
      url.pathname.replace(/\/{2,}/g, '/'),
    )
    const plain = path.replace(/^\/api\/shares(?=\/|$)/, '/api/share')
    const [route, methods, isForAll, allowed] = ROUTES.find(([route]) => route.test(plain)) ?? []
    const answer = await answered(async () => {
      const isRead = ['GET', 'HEAD', 'OPTIONS'].includes(request.method)
      if (!isRead && !isOwn(request.headers.get('origin'), url, env)) {
        throw new Refusal('forbidden', 'writing is refused to web pages of other origins')
      }
      if (!route) throw new Refusal('no_such_path', 'nothing lives at this path')
      if (isForAll && isPreflight(request)) return preflight()
      const handler =
        methods[request.method] ?? (request.method === 'HEAD' && allowed !== 'GET' ? methods.GET : undefined)
      if (handler) return handler({ request, env, url, token, found: route.exec(plain) })
      const known = allowed ?? Object.keys(methods).join(', ').replace('GET', READS)
      throw new Refusal('method_not_allowed', `method not allowed here: use ${known}`, { allow: known })
    })
    return answer.webSocket ? answer : finished(request, answer, isForAll, env, url)
  },
}

/** An answer with the headers that stand on all. */
function finished(request, answer, isForAll, env, url) {
  const headers = new Headers(answer.headers)
  headers.set('x-content-type-options', 'nosniff')
  headers.set('referrer-policy', 'no-referrer')
  headers.set('cross-origin-resource-policy', 'same-origin')
  const isPage = headers.get('content-type')?.startsWith('text/html')
  if (isPage && publicUrl(env, url).startsWith('https:')) headers.set('cross-origin-opener-policy', 'same-origin')
  const isPastALock = headers.has(PAST_A_LOCK)
  headers.delete(PAST_A_LOCK)
  if (isForAll && !isPage && !isPastALock && ['GET', 'HEAD', 'OPTIONS'].includes(request.method)) {
    headers.set('access-control-allow-origin', '*')
    headers.set('access-control-expose-headers', 'etag, location, retry-after')
  }
  const body = request.method === 'HEAD' ? null : answer.body
  return new Response(body, { status: answer.status, headers, encodeBody: 'automatic' })
}

// Sharing.

async function create({ request, env, url, token }) {
  const given = fieldsOfBody(await textOf(request, MAX_SMALL_BODY), '{sessionID, expiresIn?, password?, sealed?}')
  const { sessionID = 'null', expiresIn = 'null', password = 'null', sealed = 'null' } = given
  const session = parse(sessionID)
  if (typeof session !== 'string' || !session || [...session].length > MAX_SESSION_ID) {
    throw new Refusal('malformed', `\`sessionID\` must be a string of 1 to ${MAX_SESSION_ID} characters`)
  }
  const lifetime = expiresIn === 'null' ? undefined : secondsOf(expiresIn) * 1000
  const key = password === 'null' ? undefined : passwordOf(parse(password))
  const seal = sealed === 'null' ? undefined : sealOf(sealed)
  if (sealed !== 'null' && !seal) throw new Refusal('malformed', `\`sealed\` must be ${SEAL}`)
  if (seal && key) throw new Refusal('malformed', NO_PASSWORD)
  await admit(request, env, token)
  const [id, secret] = [random(22), crypto.randomUUID()]
  const hashed = await hashOf(secret)
  const lock = key ? await lockByPassword(key) : seal?.hash && lockByDoor(seal.hash)
  const made = { id, epoch: random(12), secret: hashed, lifetime, sealed: seal?.sealed, lock }
  const expiresAt = await share(env, id).create(made)
  const created = { id, url: `${publicUrl(env, url)}/s/${id}`, secret, ...(expiresAt && { expiresAt }) }
  return Response.json(created, { headers: { 'cache-control': 'no-store', 'x-robots-tag': 'noindex' } })
}

/** Lets somebody create, or says why not: with the token when there is one to have, else so often from an address. */
async function admit(request, env, token) {
  const [, header] = /^bearer +(\S+)/i.exec(request.headers.get('authorization') ?? '') ?? []
  if (env.CREATE_TOKEN) {
    const [wanted, given] = await Promise.all([hashOf(env.CREATE_TOKEN), hashOf(token ?? header ?? '')])
    if (crypto.subtle.timingSafeEqual(wanted, given)) return
    throw new Refusal(
      'wrong_create_token',
      'creating shares here needs a token: send `Authorization: Bearer`, or put `/t/TOKEN` before `/api`',
    )
  }
  const address = request.headers.get('cf-connecting-ip') ?? ''
  const { success } = (await env.CREATES?.limit({ key: address })) ?? { success: true }
  if (!success) throw new Refusal('too_many_creates', 'too many shares were created from this address: wait 60 s')
}

const share = (env, id) => env.SHARES.get(env.SHARES.idFromName(id))

function ask(path) {
  return ({ found: [, id], ...request }) => askShare(request, id, path)
}

/** Hands a request on to a share, by the scheme that its link has. What cannot be an id names none. */
function askShare({ request, env, url }, id, path) {
  if (!ID.test(id)) throw noSuchShare()
  const asked = new Request(`${new URL(publicUrl(env, url)).protocol}//share${path}${url.search}`, request)
  return share(env, id).fetch(request.method === 'HEAD' ? new Request(asked, { method: 'GET' }) : asked)
}

const noSuchShare = () => new Refusal('no_such_share', 'no such share: it never existed, or it was deleted')

/** So many random letters and digits. Of 256 values 248 divide evenly by 62: the rest would favour the first. */
function random(length) {
  const bytes = crypto.getRandomValues(new Uint8Array(4 * length))
  const digits = [...bytes].filter((byte) => byte < 248).map((byte) => DIGITS[byte % 62])
  return digits.length < length ? random(length) : digits.slice(0, length).join('')
}

// Reading.

async function page({ request, env, url, found: [, name, slash] }) {
  const link = decoded(name).replace(BEHIND_LINKS, '')
  const [, id, ending] = /^(.*?)(?:\.(md|json|png))?$/.exec(link)
  if (slash || link !== decoded(name)) {
    if (!ID.test(id)) throw noSuchShare()
    const headers = { location: `${slash ? '../' : ''}${link}${url.search}`, 'cache-control': 'no-store' }
    return new Response(null, { status: 308, headers })
  }
  if (ending && ending !== 'json') throw new Refusal('unknown_format', 'there is no other format than `json`')
  if (ending || prefersJson(request.headers.get('accept') ?? '')) return askShare({ request, env, url }, id, '/data')
  const answer = ID.test(id) ? await share(env, id).fetch('http://share/title') : undefined
  if (!answer || answer.status === 404) return html(env, 404, pages.missing, '<title>No such session</title>')
  if (!answer.ok) return answer
  const { title, isClosed } = await answer.json()
  const named = `<title>${escaped(title || 'Shared session')}</title>`
  if (isClosed) return html(env, 200, pages.index, named)
  const head = `${named}
<link rel="alternate" type="application/json" href="../s/${id}.json">`
  const note = `<noscript><p class="note">This page needs JavaScript. The whole session is here as
<a href="../s/${id}.json">JSON</a>.</p></noscript>`
  return html(env, 200, pages.index, head, note)
}

function decoded(name) {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** Whether a reader likes JSON better than a page (RFC 9110, 12.5.1); of what it likes as much, what it names first. */
function prefersJson(accept) {
  const known = /^(application\/json)$|^(?:text\/html|text\/\*|application\/xhtml\+xml|\*\/\*)$/
  const kinds = accept.split(',').map((kind) => {
    const [name, ...options] = kind.split(';').map((part) => part.trim().toLowerCase())
    const quality = Number(options.find((option) => option.startsWith('q='))?.slice(2) ?? 1)
    return { quality, found: known.exec(name) }
  })
  const [best] = kinds
    .filter(({ quality, found }) => found && quality > 0)
    .sort((one, other) => other.quality - one.quality)
  return best?.found[1] !== undefined
}

/** What this server is, for people who come without a link. Programs learn that there is nothing here. */
function start({ request, env }) {
  if (!request.headers.get('accept')?.includes('text/html'))
    throw new Refusal('no_such_path', 'nothing lives at this path')
  const answer = html(env, 200, pages.start, '')
  answer.headers.set('cache-control', 'no-cache')
  answer.headers.delete('x-robots-tag')
  return answer
}

function html(env, status, page, head, turns = '') {
  const body = page.replace('<!--head-->', () => head).replace('<!--turns-->', () => turns)
  const headers = {
    'content-security-policy': pages.policy.replace(
      "frame-ancestors 'none'",
      `frame-ancestors ${env.FRAME_ANCESTORS ?? "'none'"}`,
    ),
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'x-robots-tag': 'noindex',
    vary: 'accept',
  }
  return new Response(body, { status, headers })
}

const escaped = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)

/** A file by the path of another version: a page that was open while the server changed goes on working. */
async function asset({ request, env, url, found: [, path] }) {
  const answer = await env.ASSETS.fetch(new Request(new URL(`/assets/${pages.version}/${path}`, url), request))
  if (answer.status === 404) throw new Refusal('no_such_path', 'nothing lives at this path')
  const headers = new Headers(answer.headers)
  headers.set('cache-control', 'no-cache')
  return new Response(answer.body, { status: answer.status, headers })
}

// Origins.

const publicUrl = (env, url) => env.PUBLIC_URL?.replace(/\/+$/, '') || url.origin

/**
 * Whether a request comes from no web page, or from one that this server gave out: under its links' origin, or under
 * the address at which it is asked. A name says nothing in the latter case: whoever owns a name can have it lead here.
 */
function isOwn(origin, url, env) {
  if (origin === null) return true
  const isAddress = /^(localhost|[\d.]+|\[[\da-f:.]+\])$/.test(url.hostname)
  const own = [env.PUBLIC_URL && new URL(env.PUBLIC_URL).origin, isAddress && url.origin]
  return own.includes(URL.canParse(origin) ? new URL(origin).origin : '')
}

function isPreflight({ method, headers }) {
  return method === 'OPTIONS' && ['GET', 'HEAD'].includes(headers.get('access-control-request-method'))
}

function preflight() {
  const headers = {
    'access-control-allow-methods': 'GET, HEAD',
    'access-control-allow-headers': 'accept, if-none-match',
    'access-control-max-age': '86400',
  }
  return new Response(null, { status: 204, headers })
}
