// Files as a tree of their folders. Pure.

/**
 * The tree of files, `[{ file, … }]`: folders first, `{ name, entries }`, then files, `{ name, entry }`, each by name.
 * Folders that hold nothing but one folder are one with it.
 */
export function treeOf(files) {
  const root = { folders: new Map(), files: [] }
  for (const entry of files) {
    const names = entry.file.split('/').filter(Boolean)
    const name = names.pop() ?? entry.file
    let folder = root
    for (const name of names) {
      if (!folder.folders.has(name)) folder.folders.set(name, { folders: new Map(), files: [] })
      folder = folder.folders.get(name)
    }
    folder.files.push({ name, entry })
  }
  return entriesOf(root)
}

/** The files of a tree, in its order. */
export const leavesOf = (tree) => tree.flatMap(({ entries, entry }) => (entries ? leavesOf(entries) : [entry]))

function entriesOf({ folders, files }) {
  const byName = (one, other) => one.name.localeCompare(other.name)
  const joined = [...folders].map(([name, folder]) => {
    while (!folder.files.length && folder.folders.size === 1) {
      const [[inner, only]] = folder.folders
      name = `${name}/${inner}`
      folder = only
    }
    return { name, entries: entriesOf(folder) }
  })
  return [...joined.sort(byName), ...files.sort(byName)]
}
