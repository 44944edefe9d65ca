// A child process whose life a test follows by its output.

import { spawn } from 'node:child_process'
import { once } from 'node:events'

// Longer than anything takes on a slow machine. Reached only when something is broken.
export const PATIENCE = 60_000

/** Starts a program and waits for the first line of its output that `ready` matches. */
export async function start(command, args, { ready, name = command, ...options }) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  const running = { child, log: '', match: null }
  running.stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit')
      child.kill(signal)
      await ended
    }
    return child.exitCode
  }
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(new Error('is not ready in time')), PATIENCE)
    const fail = (error) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new Error(`${name}: ${error.message}\n${running.log}`))
    }
    const read = (chunk) => {
      running.log += chunk
      running.match ??= running.log.match(ready)
      if (running.match) {
        clearTimeout(timer)
        resolve()
      }
    }
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', read)
    child.on('error', fail)
    child.on('exit', (code, signal) => running.match || fail(new Error(`ended with ${code ?? signal}`)))
  })
  return running
}

/** Runs a program to its end; gives its exit code and what it wrote. */
export async function run(command, args, options) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE, ...options })
  const text = async (stream) => (await stream.setEncoding('utf8').toArray()).join('')
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, stdout, stderr }
}
