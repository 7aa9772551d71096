// What a session prints, as it is told in events and over a WebSocket.

export type Exit = {
  code?: number | null;
  signal?: number | null;
  not_started?: string | null;
  timed_out: boolean;
  cancelled: boolean;
};

/** Bytes of base64. */
export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

/** For people: how a process ended. */
export function exitInWords(exit: Exit): string {
  if (exit.not_started) return exit.not_started;
  const why = exit.cancelled ? " (cancelled)" : exit.timed_out ? " (timed out)" : "";
  if (exit.signal) return `signal ${exit.signal}${why}`;
  return `exit code ${exit.code ?? 0}${why}`;
}

/** A message of the terminal's wire: one byte of channel, then data. */
export function splitFrame(frame: ArrayBuffer): { channel: number; data: Uint8Array } {
  const bytes = new Uint8Array(frame);
  return { channel: bytes[0] ?? 0, data: bytes.subarray(1) };
}

/** Text with its newest end: older text is cut so that a page stays quick. */
export function appendText(known: string, more: string, limit = 500_000): string {
  const all = known + more;
  return all.length > limit ? all.slice(all.length - limit) : all;
}
