// A bell that tells who looks elsewhere when the agent has come to its end. It asks the browser once, and only when it
// is rung.

import { el } from './dom.js'
import { icon } from './icons.js'
import { strings } from './strings.js'

export class Bell {
  #isOn = false

  constructor() {
    this.button = el(
      'button',
      {
        ...{
          class: 'icon bell',
          type: 'button',
          title: strings.bell,
          'aria-label': strings.bell,
          'aria-pressed': 'false',
        },
        hidden: !('Notification' in globalThis) || !isSecureContext,
        onclick: () => this.#toggle(),
      },
      icon('bell'),
    )
  }

  async #toggle() {
    const isOn = !this.#isOn && (await Notification.requestPermission()) === 'granted'
    this.#isOn = isOn
    this.button.setAttribute('aria-pressed', String(isOn))
  }

  /** Tells, unless the page is looked at. */
  ring(words, title) {
    if (!this.#isOn || !document.hidden) return
    const notification = new Notification(words, { body: title, tag: location.pathname })
    notification.addEventListener('click', () => {
      window.focus()
      notification.close()
    })
  }
}
