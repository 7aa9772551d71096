// Lists come in pages; what a person has seen of one stays while more of it is loaded.
import { useCallback, useEffect, useState } from "react";

export type Page<T> = { items: T[]; next?: string | null };

/** The known items and those of the next page; an item that both have is there once, as it is now. */
export function withPage<T>(known: Page<T>, more: Page<T>, keyOf: (item: T) => string): Page<T> {
  const fresh = new Map(more.items.map((it) => [keyOf(it), it]));
  const before = known.items.filter((it) => !fresh.has(keyOf(it)));
  return { items: [...before, ...more.items], next: more.next ?? null };
}

/** Loads the first page when shown and when `load` changes (memoize both functions); `more` loads the next one. */
export function usePages<T>(load: (after?: string) => Promise<Page<T>>, keyOf: (item: T) => string) {
  const [page, setPage] = useState<Page<T>>();
  const [error, setError] = useState<Error>();
  const [turn, setTurn] = useState(0);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  useEffect(() => {
    let current = true;
    load().then(
      (first) => {
        if (!current) return;
        setPage(first);
        setError(undefined);
      },
      (failure: Error) => current && setError(failure),
    );
    return () => {
      current = false;
    };
  }, [load, turn]);
  const after = page?.next;
  const more =
    after == null
      ? undefined
      : () => {
          load(after).then(
            (next) => setPage((known) => (known?.next === after ? withPage(known, next, keyOf) : known)),
            setError,
          );
        };
  return { items: page?.items, error, reload, more };
}
