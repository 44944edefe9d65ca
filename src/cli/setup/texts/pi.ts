// {MARK}
const PROGRAM = {STRING}

export default function (pi) {
  const command = (name, action, description) =>
    pi.registerCommand(name, {
      description,
      handler: async (_args, ctx) => {
        const session = `pi_${ctx.sessionManager.getSessionId()}`
        const { code, stdout, stderr } = await pi.exec(PROGRAM, [action, session])
        ctx.ui.notify((code === 0 ? stdout : stderr).trim(), code === 0 ? 'info' : 'error')
      },
    })
  command('share-live', 'share', 'Share this session as a live link')
  command('unshare-live', 'unshare', "Take this session's link away")
}
