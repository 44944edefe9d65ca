// The one place where text becomes HTML. What comes out is a fragment of inert elements: nothing in it runs, and
// nothing in it is loaded from anywhere. The page's policy allows no other way.

import { pictureUrl } from './files.js'
import DOMPurify from './vendor/purify.min.js'

const words = (list) => list.trim().split(/\s+/)

const RULES = {
  RETURN_DOM_FRAGMENT: true,
  ALLOWED_TAGS: words(`
    a b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img input ins kbd li mark ol p pre s span
    strong sub summary sup table tbody td th thead tr ul
  `),
  ALLOWED_ATTR: words('align alt checked class colspan disabled href open rowspan src start title type'),
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
}

const LINK = /^(?:https?:|mailto:)/i

/** HTML that this page's own libraries made out of a stranger's text. */
export function toFragment(html) {
  const fragment = DOMPurify.sanitize(html, RULES)
  for (const image of fragment.querySelectorAll('img')) {
    const source = image.getAttribute('src') ?? ''
    const picture = pictureUrl(source)
    if (picture) {
      image.setAttribute('src', picture)
      continue
    }
    // An image from elsewhere would tell its host who reads this: it becomes a link, or its text.
    const link = document.createElement('a')
    link.textContent = image.getAttribute('alt') || source
    link.setAttribute('href', source)
    image.replaceWith(link)
  }
  for (const input of fragment.querySelectorAll('input')) {
    if (input.getAttribute('type') !== 'checkbox') input.remove()
    else input.setAttribute('disabled', '')
  }
  for (const link of fragment.querySelectorAll('a')) {
    const target = safeLink(link.getAttribute('href'))
    if (target) {
      link.setAttribute('href', target)
      link.setAttribute('rel', 'noopener noreferrer nofollow')
      link.setAttribute('target', '_blank')
    } else {
      link.removeAttribute('href')
    }
  }
  return fragment
}

/** A link that a stranger may give, or nothing. */
export function safeLink(href) {
  return LINK.test(href ?? '') ? href : undefined
}
