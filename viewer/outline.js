// The prompts as a list beside the session, and where the reader is in it.

import { el } from './dom.js'
import { promptText } from './load/session.js'
import { strings } from './strings.js'

export class Outline {
  #seen = new Set()
  #observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.#seen.add(target.id)
        else this.#seen.delete(target.id)
      }
      this.#mark()
    },
    { rootMargin: '-80px 0px -50% 0px' },
  )

  constructor(root) {
    this.list = el('ol', {})
    this.root = root
    root.append(el('h2', {}, strings.outline), this.list)
  }

  update(session) {
    const turns = session.turns().filter(({ prompt }) => prompt)
    const labels = turns.map(({ prompt }) => label(promptText(session.partsOf(prompt))))
    const key = JSON.stringify([turns.map(({ id }) => id), labels])
    if (key === this.key) return
    this.key = key
    this.turns = turns.map(({ id }) => id)
    document.body.classList.toggle('outlined', turns.length > 0)
    this.#observer.disconnect()
    this.list.replaceChildren(
      ...turns.map(({ id }, at) => el('li', {}, el('a', { href: `#${id}` }, el('span', { dir: 'auto' }, labels[at])))),
    )
    for (const { id } of turns) {
      const node = document.getElementById(id)
      if (node) this.#observer.observe(node)
    }
  }

  #mark() {
    const here = this.turns?.find((id) => this.#seen.has(id))
    for (const link of this.list.querySelectorAll('a')) {
      if (link.hash === `#${here}`) link.setAttribute('aria-current', 'true')
      else link.removeAttribute('aria-current')
    }
  }

  /** The prompt before or after the one at the top of the screen. */
  step(by) {
    const tops = (this.turns ?? []).map((id) => ({
      id,
      top: document.getElementById(id)?.getBoundingClientRect().top ?? 0,
    }))
    const target = by > 0 ? tops.find(({ top }) => top > 90) : tops.findLast(({ top }) => top < 50)
    const node = target && document.getElementById(target.id)
    node?.scrollIntoView({ block: 'start' })
    node?.focus({ preventScroll: true })
  }
}

/** The first words of a prompt. */
function label(text) {
  return text.slice(0, 2000).trim().replace(/\s+/g, ' ').slice(0, 120) || '…'
}
