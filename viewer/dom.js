// Making elements without HTML text. Text given here is always text.

import { text } from './values.js'

/** `el('a', { class: 'x', href, onclick }, 'text', child)` */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value)
    else if (key === 'dataset') Object.assign(node.dataset, value)
    else node.setAttribute(key, value === true ? '' : value)
  }
  for (const child of children.flat()) {
    if (child === undefined || child === null || child === false || child === '') continue
    node.append(child instanceof Node ? child : text(child))
  }
  return node
}

/** What `make` returns; when it fails, what `instead` does. So one fault does not take what stands beside it. */
export function guarded(make, instead = () => undefined) {
  try {
    return make()
  } catch (error) {
    console.warn(error)
    return instead(error)
  }
}

/** Brings a node's children into an order with as few moves as there are differences. */
export function arrange(parent, nodes) {
  let at = parent.firstChild
  for (const node of nodes) {
    if (node === at) at = at.nextSibling
    else parent.insertBefore(node, at)
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

/** A button that copies, and says so. */
export function copyButton(strings, words, label = strings.copy) {
  const button = el('button', { class: 'copy', type: 'button', title: label, 'aria-label': label })
  button.addEventListener('click', async (event) => {
    event.stopPropagation()
    event.preventDefault()
    await navigator.clipboard.writeText(typeof words === 'function' ? words() : words)
    button.classList.add('done')
    button.setAttribute('aria-label', strings.copied)
    setTimeout(() => {
      button.classList.remove('done')
      button.setAttribute('aria-label', label)
    }, 1500)
  })
  return button
}

const waiting = new WeakMap()
const observer = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) run(target)
    }
  },
  { rootMargin: '1200px 0px' },
)

function run(node) {
  const work = waiting.get(node)
  observer.unobserve(node)
  waiting.delete(node)
  // What stands in stays when the work fails.
  guarded(() => work?.()?.catch?.(console.warn))
}

/** Does costly work on a node when it comes near the screen. Later work takes the place of earlier. */
export function whenNear(node, work) {
  waiting.set(node, () => {
    delete node.dataset.lazy
    return work()
  })
  node.dataset.lazy = ''
  observer.observe(node)
}

/** Does at once what waits within a node, and what that makes wait in turn: for printing and exporting. */
export function finishWithin(root) {
  for (let nodes = [root]; nodes.length; nodes = root.querySelectorAll('[data-lazy]')) nodes.forEach(run)
}
