import type { Schemas } from "./client";

/** Why changes of a side are not seen, and how often it is looked at instead, where it is live. */
export function sightOf(sight: Schemas["Sight"] | null | undefined): { reason: string; everyS?: number } {
  const everyMs = sight?.look_every_ms;
  return {
    reason: sight?.reason ?? "",
    ...(everyMs != null && { everyS: Math.ceil(everyMs / 1000) }),
  };
}

/** A count of bytes so that people can read it. */
export function readable(bytes: number): string {
  const units = ["KiB", "MiB", "GiB", "TiB"];
  if (bytes < 1024) return `${bytes} B`;
  let [count, at] = [bytes / 1024, 0];
  while (count >= 1024 && at < units.length - 1) [count, at] = [count / 1024, at + 1];
  return `${count.toFixed(1)} ${units[at]}`;
}
