import { useCallback, useEffect, useState } from "react";

export type Loaded<T> = { data?: T; error?: Error; reload: () => void };

/** Loads when shown and when `load` changes (memoize it); every `everyMs` milliseconds again if that is given. */
export function useLoaded<T>(load: () => Promise<T>, everyMs?: number): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: Error }>({});
  const [turn, setTurn] = useState(0);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  useEffect(() => {
    let current = true;
    load().then(
      (data) => current && setState({ data }),
      (error: Error) => current && setState((before) => ({ ...before, error })),
    );
    const timer = everyMs === undefined ? undefined : setTimeout(reload, everyMs);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [load, turn, everyMs, reload]);
  return { ...state, reload };
}
