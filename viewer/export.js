// Taking the session along as one HTML file. Markdown and JSON come from the server, which has them for readers
// without this page too.

import { el } from './dom.js'
import { text } from './values.js'

/** The page as it stands, whole, with its styles and without its scripts. */
export async function downloadHtml(session, timeline) {
  await timeline.finish()
  const style = await (await fetch('/assets/style.css')).text()
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
  for (const node of main.querySelectorAll('.copy, .anchor, button.more')) node.remove()
  for (const details of main.querySelectorAll('details')) details.open = true
  const title = make(page, 'h1', { class: 'export-title' }, document.title)
  const body = make(page, 'main', { class: 'exported' })
  body.append(title, main)
  page.body.append(body)
  // Put in as text: the page's own policy would refuse a style element even in a document that is not shown.
  const html = page.documentElement.outerHTML.replace('</head>', () => `<style>${style}</style></head>`)
  save(`${name(session)}.html`, 'text/html', `<!doctype html>\n${html}\n`)
}

function make(page, tag, attributes, words = '') {
  const node = page.createElement(tag)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  node.append(words)
  return node
}

function save(file, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }))
  el('a', { href: url, download: file }).click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
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
