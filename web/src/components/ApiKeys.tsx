import { useCallback, useState, type FormEvent } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { text } from "../text/en";
import { Choice } from "./Choice";
import { Failure } from "./Failure";
import { Field } from "./Field";

const SCOPES: Schemas["Scope"][] = ["read", "write", "admin"];

export function ApiKeys() {
  const keys = useLoaded(useCallback(() => ask(api.GET("/api-keys")), []));
  const [label, setLabel] = useState("");
  const [scope, setScope] = useState<Schemas["Scope"]>("read");
  const [fresh, setFresh] = useState<string | null>();
  const { busy, error, run } = useAction();
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      setFresh((await ask(api.POST("/api-keys", { body: { label, scope } }))).key);
      setLabel("");
      keys.reload();
    });
  };
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
      <form onSubmit={create} aria-label={text.createKey}>
        <Field label={text.label} value={label} onText={setLabel} required />
        <Choice
          label={text.scope}
          value={scope}
          choices={SCOPES.map((it) => [it, it])}
          onChoice={(it) => setScope(it as Schemas["Scope"])}
        />
        <button disabled={busy}>{text.createKey}</button>
      </form>
      <p role="status">
        {fresh && (
          <>
            {text.keyOnce} <code>{fresh}</code>
          </>
        )}
      </p>
    </section>
  );
}
