// Taking the session along as one HTML file. Markdown and JSON come from the server, which has them for readers
// without this page too; those of a sealed session, of which it knows nothing, are made here (take-along.js).

import { fragmentOf, readFragment } from './address.js'
import { save } from './dom.js'
import { parseDataUrl } from './files.js'
import { text } from './values.js'

/** The page as it stands, whole, with its styles and without its scripts. */
export async function downloadHtml(session, timeline) {
  await timeline.finish()
  const sheets = [...document.querySelectorAll('link[rel=stylesheet]')]
  const styles = await Promise.all(sheets.map(async ({ href }) => (await fetch(href)).text()))
  const page = document.implementation.createHTMLDocument(document.title)
  page.documentElement.lang = 'en'
  page.documentElement.dataset.hidden = ''
  page.head.append(
    make(page, 'meta', { charset: 'utf-8' }),
    make(page, 'meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
    make(page, 'meta', {
      'http-equiv': 'Content-Security-Policy',
      content: "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }),
    make(page, 'meta', { name: 'referrer', content: 'no-referrer' }),
  )
  const main = page.importNode(timeline.root, true)
  saveFiles(page, timeline.root.querySelectorAll('.chip'), main.querySelectorAll('.chip'))
  for (const node of main.querySelectorAll('.copy, .anchor, .turn-menu, button.more')) node.remove()
  for (const details of main.querySelectorAll('details')) details.open = true
  // Whoever gets the file gets what was seen, and not the key to what comes.
  for (const link of main.querySelectorAll('a[href^="#"]'))
    link.setAttribute('href', fragmentOf(readFragment(link.getAttribute('href'))))
  const title = make(page, 'h1', { class: 'export-title' }, document.title)
  const body = make(page, 'main', { class: 'exported' })
  body.append(title, main)
  page.body.append(body)
  // Put in as text: the page's own policy would refuse a style element even in a document that is not shown.
  const html = page.documentElement.outerHTML.replace('</head>', () => `<style>${styles.join('\n')}</style></head>`)
  save(`${name(session)}.html`, `<!doctype html>\n${html}\n`, 'text/html')
}

/** Gives the chips of files, in their copies, the files themselves: there no script saves them. */
function saveFiles(page, chips, copies) {
  for (const [at, { file }] of chips.entries()) {
    const data = file && parseDataUrl(file.url)
    if (!data) continue
    const href = `data:application/octet-stream${data.isBase64 ? ';base64' : ''},${data.body}`
    const link = make(page, 'a', { class: 'chip', href, download: file.name })
    link.append(...copies[at].childNodes)
    copies[at].replaceWith(link)
  }
}

function make(page, tag, attributes, words = '') {
  const node = page.createElement(tag)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  node.append(words)
  return node
}

function name(session) {
  const title = (text(session.info?.title) || 'session')
    .normalize('NFKD')
    .replace(/[^\w -]/g, '')
    .trim()
    .replace(/\s+/g, '-')
    .toLowerCase()
  return title.slice(0, 60) || 'session'
}
