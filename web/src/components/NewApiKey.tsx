import { useState, type FormEvent } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { text } from "../text/en";
import { Choice } from "./Choice";
import { Failure } from "./Failure";
import { Field } from "./Field";

const SCOPES: Schemas["Scope"][] = ["read", "write", "admin"];

type Props = {
  /** For whom; absent: for the one who asks. */
  login?: string;
  onCreated?: () => void;
};

/** Makes a key, and shows it this once. */
export function NewApiKey({ login, onCreated }: Props) {
  const [label, setLabel] = useState("");
  const [scope, setScope] = useState<Schemas["Scope"]>("read");
  const [fresh, setFresh] = useState<string | null>();
  const { busy, error, run } = useAction();
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const body = { label, scope, ...(login === undefined ? {} : { for_login: login }) };
      setFresh((await ask(api.POST("/api-keys", { body }))).key);
      setLabel("");
      onCreated?.();
    });
  };
  return (
    <>
      <Failure error={error} />
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
    </>
  );
}
