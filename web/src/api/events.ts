// Server-sent events by name. The browser resumes with Last-Event-ID when the connection breaks.

/** Follows a stream until its `end` event or until the returned function is called. */
export function follow(
  url: string,
  names: string[],
  on: (name: string, data: unknown) => void,
  onBroken: (broken: boolean) => void,
): () => void {
  const source = new EventSource(url);
  for (const name of names) {
    source.addEventListener(name, (event) => {
      onBroken(false);
      on(name, JSON.parse((event as MessageEvent<string>).data));
      if (name === "end") source.close();
    });
  }
  source.onopen = () => onBroken(false);
  source.onerror = () => onBroken(true);
  return () => source.close();
}
