import { useCallback } from "react";
import { api, ask } from "../api/client";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { text } from "../text/en";
import { Failure } from "./Failure";
import { NewApiKey } from "./NewApiKey";

export function ApiKeys() {
  const keys = useLoaded(useCallback(() => ask(api.GET("/api-keys")), []));
  const { busy, error, run } = useAction();
  const remove = (id: string) =>
    run(() => ask(api.DELETE("/api-keys/{id}", { params: { path: { id } } })).then(keys.reload));
  return (
    <section aria-label={text.apiKeys}>
      <h2>{text.apiKeys}</h2>
      <Failure error={keys.error ?? error} />
      <ul>
        {keys.data?.items.map((it) => (
          <li key={it.id}>
            {it.label} ({it.scope}){" "}
            <button disabled={busy} onClick={() => remove(it.id)} aria-label={`${text.remove} ${it.label}`}>
              {text.remove}
            </button>
          </li>
        ))}
      </ul>
      <NewApiKey onCreated={keys.reload} />
    </section>
  );
}
