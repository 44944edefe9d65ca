// Where a session is locked: the one field in which a password or a phrase is given. Fetched when it is needed.

import { el } from './dom.js'
import { send } from './load/answers.js'
import { strings } from './strings.js'

// Bytes of a password that a server takes.
const MAX_LENGTH = '1024'

export class Gate {
  #opener
  #url
  #opened
  // Ends the wait that the server asked for.
  #waiting

  /**
   * `url` is the share's in the API, `opener` what opens its items where the link has a key: then a phrase is asked
   * for, which goes nowhere. `opened` is called when the server has let this browser in.
   */
  constructor(root, { url, opener, opened }) {
    this.root = root
    this.#url = url
    this.#opener = opener
    this.#opened = opened
    const words = opener ? strings.phrase : strings.password
    this.input = el('input', {
      ...{ type: 'password', id: 'gate', name: 'password', required: true, maxlength: MAX_LENGTH },
      ...{ autocomplete: 'current-password', autocapitalize: 'off', spellcheck: 'false' },
      'aria-describedby': 'gate-error',
    })
    this.button = el('button', { type: 'submit' }, strings.open)
    this.error = el('p', { class: 'bad', id: 'gate-error', role: 'alert' })
    root.append(
      el('h1', {}, words.title),
      el('p', {}, words.hint),
      el(
        'form',
        { onsubmit: (event) => this.#submit(event) },
        el('label', { for: 'gate' }, words.label),
        el('div', { class: 'field' }, this.input, this.button),
        this.error,
      ),
    )
  }

  /** Asks, until the server lets this browser in. */
  ask() {
    this.#say('')
    this.input.value = ''
    this.root.hidden = false
    this.input.focus()
  }

  close() {
    this.input.value = ''
    this.root.hidden = true
  }

  async #submit(event) {
    event.preventDefault()
    if (this.button.disabled || !this.input.value) return
    this.#busy(true)
    this.#say(strings.opening)
    const refused = await this.#try(this.input.value)
    if (this.#waiting === undefined) this.#busy(false)
    if (refused !== undefined) {
      this.#say(refused)
      this.input.setAttribute('aria-invalid', 'true')
      this.input.select()
      return
    }
    this.close()
    this.#opened()
  }

  /** Why it does not open; nothing when it does. */
  async #try(typed) {
    const wrong = this.#opener ? strings.phrase.wrong : strings.password.wrong
    // What is typed for a link with a key never leaves this page, whatever the server says of the share.
    const door = this.#opener && (await this.#opener.unlock(typed))
    if (this.#opener && door === undefined) return wrong
    const answer = await send(`${this.#url}/open`, 'POST', this.#opener ? { door } : { password: typed })
    if (!answer) return strings.noAnswer
    if (answer.status === 401) return wrong
    if (answer.status === 429) return this.#wait(Number(answer.headers.get('retry-after')) || 60)
    // That there is no such share any more is said by the page.
    return answer.ok || answer.status === 404 ? undefined : strings.noAnswer
  }

  /** Counts the seconds down, after which it can be tried again. */
  #wait(seconds) {
    clearInterval(this.#waiting)
    const until = Date.now() + seconds * 1000
    this.#waiting = setInterval(() => {
      const left = Math.ceil((until - Date.now()) / 1000)
      // Who hears the page hears it once.
      if (left > 0) return (this.button.textContent = strings.inSeconds(left))
      clearInterval(this.#waiting)
      this.#waiting = undefined
      this.#busy(false)
      this.#say('')
    }, 1000)
    this.button.textContent = strings.inSeconds(seconds)
    return strings.tooManyTries(seconds)
  }

  #busy(isBusy) {
    this.button.disabled = isBusy
    if (!isBusy) this.button.textContent = strings.open
  }

  #say(words) {
    this.error.textContent = words
    this.input.removeAttribute('aria-invalid')
  }
}
