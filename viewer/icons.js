// Signs, drawn with lines: letters that look like signs are other ones in every font.

const PATHS = {
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13M15.5 15.5L21 21',
  list: 'M4 6h2M9 6h11M4 12h2M9 12h11M4 18h2M9 18h11',
  close: 'M6 6l12 12M18 6L6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 12.5l5 5L19.5 7',
  chevron: 'M9 5l7 7l-7 7',
  up: 'M5 15l7-7l7 7',
  down: 'M5 9l7 7l7-7',
  error: 'M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 7.5v6M12 16.5v.5',
  bell: 'M6 17V11a6 6 0 0 1 12 0v6l1.5 1.5h-15zM10.5 21h3',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  open: 'M14 4h6v6M20 4l-9 9M10 5H5v14h14v-5',
  link: 'M10 14a4 4 0 0 0 6 0l3.5-3.5a4.2 4.2 0 0 0-6-6L12 6M14 10a4 4 0 0 0-6 0l-3.5 3.5a4.2 4.2 0 0 0 6 6L12 18',
  play: 'M7 5l12 7l-12 7z',
  pause: 'M8 5v14M16 5v14',
  key: 'M8 11.500a4 4 0 1 0 0 8a4 4 0 0 0 0-8M11 13l9-9M17 7l3 3M14.500 9.500l2 2',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
  prompt: 'M12 11a3.5 3.5 0 1 0 0-7a3.5 3.5 0 0 0 0 7M5 20a7 7 0 0 1 14 0',
  answer: 'M4 5h16v11H10l-4 4v-4H4z',
  thought: 'M9 17h6M10 20h4M8 14a6 6 0 1 1 8 0v1H8z',
  shell: 'M4 6l6 6l-6 6M12 18h8',
  edit: 'M4 20l1-4L16 5l3 3L8 19z',
  look: 'M3 12c3-5 6-7 9-7s6 2 9 7c-3 5-6 7-9 7s-6-2-9-7M12 9.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 0 0 0-5',
  web: 'M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M3 12h18M12 3c3 3 4 6 4 9s-1 6-4 9c-3-3-4-6-4-9s1-6 4-9',
  todo: 'M4 6l1.5 1.5L8 5M4 12l1.5 1.5L8 11M4 18l1.5 1.5L8 17M11 6.5h9M11 12.5h9M11 18.5h9',
  task: 'M6 4v10a3 3 0 0 0 3 3h9M15 13l4 4l-4 4',
  question: 'M9 9a3 3 0 1 1 4.5 2.6C12.5 12.200 12 13 12 14M12 17.500v.500',
  tool: 'M14 6a4 4 0 0 1 5-1l-3 3l1 2l2 1l3-3a4.500 4.500 0 0 1-6 5L8 21l-4-4l8-8a4 4 0 0 1 2-3',
}

const NAMESPACE = 'http://www.w3.org/2000/svg'

/** An element of a drawing. */
export function svg(name, attributes, ...children) {
  const node = document.createElementNS(NAMESPACE, name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  node.append(...children)
  return node
}

/** A sign, for eyes alone: what it stands for has to be said by what it stands in. */
export function icon(name) {
  const attributes = { viewBox: '0 0 24 24', class: `sign sign-${name}`, 'aria-hidden': 'true' }
  return svg('svg', attributes, svg('path', { d: PATHS[name] }))
}
