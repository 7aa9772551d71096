// Paths within a zone.

/** A path below a folder; the folder's own is "". */
export function join(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** Every folder on the way to a path, from the zone itself on. */
export function crumbs(path: string): { name: string; path: string }[] {
  const names = path === "" ? [] : path.split("/");
  return names.map((name, at) => ({ name, path: names.slice(0, at + 1).join("/") }));
}
