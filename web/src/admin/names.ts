/** Names as people write them in one field: between commas or white space, each once. */
export function namesIn(written: string): string[] {
  return [...new Set(written.split(/[\s,]+/).filter((name) => name !== ""))];
}
