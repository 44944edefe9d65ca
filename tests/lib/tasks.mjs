// How long a page leaves a reader waiting: the longest that a click had to wait for its answer.

/** Begins to press a button of the page's own, over and over, from within the page, as often as it lets one. */
export const watchTasks = (page) =>
  page.addInitScript(() => {
    window.longestWait = 0
    const channel = new MessageChannel()
    let asked = performance.now()
    channel.port1.onmessage = () => {
      const now = performance.now()
      window.longestWait = Math.max(window.longestWait, now - asked)
      setTimeout(() => {
        asked = performance.now()
        channel.port2.postMessage(0)
      }, 5)
    }
    channel.port2.postMessage(0)
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.longestWait = Math.max(window.longestWait, duration)
    }).observe({ type: 'longtask', buffered: true })
  })

/** The longest wait since the last time that this was asked, in milliseconds. */
export const longestWait = (page) =>
  page.evaluate(() => {
    const wait = window.longestWait
    window.longestWait = 0
    return wait
  })
