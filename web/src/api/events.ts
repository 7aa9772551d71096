// Server-sent events by name. The browser resumes with Last-Event-ID when the connection breaks.

/** Events that are the last of their stream. */
const LAST = ["end", "exit"];

/** Follows a stream until its last event or until the returned function is called. */
export function follow(
  url: string,
  names: string[],
  on: (name: string, data: unknown) => void,
  onBroken: (broken: boolean) => void,
): () => void {
  const source = new EventSource(url);
  for (const name of names) {
    source.addEventListener(name, (event) => {
      // The browser's own "error" has no data: it is told below.
      const { data } = event as MessageEvent<string | undefined>;
      if (data === undefined) return;
      onBroken(false);
      on(name, JSON.parse(data));
      if (LAST.includes(name) || name === "error") source.close();
    });
  }
  source.onopen = () => onBroken(false);
  source.addEventListener("error", (event) => {
    if (!("data" in event)) onBroken(true);
  });
  return () => source.close();
}
