// Where this page stands: the share that it shows, and where its server's addresses begin, which may be a path. Pure.

const PAGE = /^(.*?)\/+(?:s|share)\/+([^/]*?)[.,);:]*\/*$/

/** The share of a page's address, `{ id, base }`: `base` is the address that all others of its server stand under. */
export function placeOf(href) {
  const { origin, pathname } = new URL(href)
  const [, path, id] = PAGE.exec(pathname) ?? [undefined, '', pathname.split('/').at(-1)]
  return { id, base: `${origin}${path}/` }
}
