// How much of anything a share takes. Each may stand under its name in `[vars]` of wrangler.toml. Sizes in bytes, times
// in seconds there and in milliseconds here; 0 is no end.

const DEFAULTS = {
  MAX_BODY: 32 << 20,
  MAX_ITEM: 8 << 20,
  MAX_SHARE: 512 << 20,
  MAX_ITEMS: 200_000,
  MAX_VIEWERS: 10_000,
  DEFAULT_LIFETIME: 0,
  MAX_LIFETIME: 0,
  IDLE_LIFETIME: 0,
  UNSYNCED_LIFETIME: 3600,
}

/** The limits by their names as code has them: `maxBody`. */
export function limitsOf(env) {
  const limits = Object.entries(DEFAULTS).map(([name, usual]) => {
    const value = Number(env[name] ?? usual)
    const camel = name.toLowerCase().replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
    return [camel, name.endsWith('LIFETIME') ? value * 1000 : value]
  })
  return Object.fromEntries(limits)
}
