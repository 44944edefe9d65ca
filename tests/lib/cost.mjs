// What something costs, whatever else the machine does.

/** Milliseconds of the processor's time that this process takes for it. */
export function processorTime(work) {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
