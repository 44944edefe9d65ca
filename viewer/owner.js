// What the owner of a share can do with it: end it, say when it ends, and protect it by a password. Fetched when a link
// has the owner's secret, which is kept here and nowhere else.

import { el, iconButton } from './dom.js'
import { parsed, send } from './load/answers.js'
import { strings } from './strings.js'
import { isRecord, own, text } from './values.js'

const HOUR = 3600
const ENDS = { hour: HOUR, day: 24 * HOUR, week: 7 * 24 * HOUR, month: 30 * 24 * HOUR, never: null }

export class Owner {
  #url
  #secret
  #share
  #changed
  #dialog
  #said

  /**
   * `url` is the share's in the API. `share` gives what the server said of it last, `{ ends, isProtected }`, and
   * `changed` is called when that is another, with the password that was set, if one was. A sealed share has no
   * password but its phrase.
   */
  constructor({ url, secret, isSealed, share, changed }) {
    this.#url = url
    this.#secret = secret
    this.#share = share
    this.#changed = changed
    this.isSealed = isSealed
    this.button = iconButton(strings.owner.manage, 'key', () => this.open(), 'owner')
  }

  open() {
    this.#said = el('p', { class: 'note', role: 'status' })
    const close = iconButton(strings.close, 'close', () => this.#dialog.close())
    this.#dialog = el(
      'dialog',
      { class: 'manage', 'aria-labelledby': 'manage' },
      el('header', {}, el('h2', { id: 'manage' }, strings.owner.manage), close),
      this.#ends(),
      this.isSealed ? el('section', {}, strings.owner.noPassword) : this.#password(),
      this.#unshare(),
      this.#said,
    )
    this.#dialog.addEventListener('close', () => this.#dialog.remove())
    document.body.append(this.#dialog)
    this.#dialog.showModal()
  }

  #ends() {
    const now = el('p', { class: 'note' })
    const tell = () => {
      const { ends } = this.#share()
      now.textContent = ends ? strings.owner.endsAt(ends) : strings.owner.endsNever
    }
    tell()
    const choice = el(
      'select',
      { id: 'manage-end' },
      Object.keys(ENDS).map((name) => el('option', { value: name }, strings.owner.ends[name])),
    )
    const set = async () => {
      if (!(await this.#do('PATCH', { expiresIn: ENDS[choice.value] }))) return
      await this.#changed()
      tell()
      this.#say(now.textContent)
    }
    return form(set, el('label', { for: 'manage-end' }, strings.owner.end), [choice, submit(strings.owner.set)], now)
  }

  #password() {
    const input = el('input', {
      ...{ type: 'password', id: 'manage-password', required: true, maxlength: '1024' },
      ...{ autocomplete: 'new-password', autocapitalize: 'off', spellcheck: 'false' },
    })
    const button = submit('')
    const remove = el('button', { type: 'button', onclick: () => set(null) }, strings.owner.remove)
    const tell = () => {
      const { isProtected } = this.#share()
      button.textContent = isProtected ? strings.owner.change : strings.owner.set
      remove.hidden = !isProtected
    }
    tell()
    const set = async (password) => {
      if (!(await this.#do('PATCH', { password }))) return
      input.value = ''
      await this.#changed(password)
      tell()
      this.#say(password === null ? strings.owner.passwordRemoved : strings.owner.passwordSet)
    }
    const label = el('label', { for: 'manage-password' }, strings.password.label)
    return form(() => set(input.value), label, [input, button, remove])
  }

  #unshare() {
    const ask = el('button', { type: 'button', class: 'danger' }, strings.owner.unshare)
    const yes = el('button', { type: 'button', class: 'danger' }, strings.owner.unshareYes)
    const no = el('button', { type: 'button' }, strings.owner.unshareNo)
    const question = el('div', { class: 'field', hidden: true }, yes, no)
    const words = el('p', { class: 'note' }, strings.owner.unshareHint)
    const turn = (isAsked) => {
      question.hidden = !isAsked
      ask.hidden = isAsked
      ;(isAsked ? no : ask).focus()
    }
    ask.addEventListener('click', () => turn(true))
    no.addEventListener('click', () => turn(false))
    yes.addEventListener('click', async () => {
      const state = await this.#do('DELETE', {})
      if (!state) return turn(false)
      for (const section of this.#dialog.querySelectorAll('form, section')) section.remove()
      // What had the focus is gone.
      this.#dialog.querySelector('header button').focus()
      this.#say(strings.owner[state])
    })
    return el('section', {}, ask, question, words)
  }

  /** Asks the server for it, and says when it does not do it. Gives `done`, or `deleting` when that is not over yet. */
  async #do(method, fields) {
    this.#say(strings.owner.asking)
    const answer = await send(this.#url, method, { secret: this.#secret, ...fields })
    const told = parsed(await answer?.text().catch(() => ''))
    if (answer?.ok && isRecord(told)) return answer.status === 202 ? 'deleting' : 'done'
    this.#say(own(strings.owner.refused, text(told?.error?.code)) ?? strings.noAnswer)
    return undefined
  }

  #say(words) {
    this.#said.textContent = words
  }
}

const submit = (label) => el('button', { type: 'submit' }, label)

/** Fields with what is done when they are sent. */
function form(action, label, fields, ...more) {
  const onsubmit = (event) => {
    event.preventDefault()
    action()
  }
  return el('form', { onsubmit }, label, el('div', { class: 'field' }, ...fields), ...more)
}
