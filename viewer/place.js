// Where this page stands: the share that it shows, and where its server's addresses begin, which may be a path. Pure.

const PAGE = /^(.*?)\/+(s|share|embed)\/+([^/]*?)[.,);:]*\/*$/

/**
 * The share of a page's address, `{ id, base, isEmbedded }`: `base` is the address that all others of its server stand
 * under, and embedded is what is for frames of other pages.
 */
export function placeOf(href) {
  const { origin, pathname } = new URL(href)
  const [, path, room, id] = PAGE.exec(pathname) ?? [undefined, '', 's', pathname.split('/').at(-1)]
  return { id, base: `${origin}${path}/`, isEmbedded: room === 'embed' }
}
