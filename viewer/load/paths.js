// Names of files, as people read them. Pure.

/** A file's name from the directory of the session on, or as it is where it stands elsewhere. */
export function relativeTo(directory, file) {
  const base = directory.replace(/\/+$/, '')
  return base && file.startsWith(`${base}/`) ? file.slice(base.length + 1) : file.replace(/^\.\//, '')
}
