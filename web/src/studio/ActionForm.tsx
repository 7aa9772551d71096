import { useState, type FormEvent } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { Choice } from "../components/Choice";
import { Failure } from "../components/Failure";
import { Field } from "../components/Field";
import { text } from "../text/en";
import { SessionOutput } from "./SessionOutput";

type Action = Schemas["StudioAction"];

const nothing = () => undefined;

/** One action: its inputs, and its last run. */
export function ActionForm({ studio, action }: { studio: string; action: Action }) {
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(action.inputs.map((it) => [it.name, it.default])),
  );
  const [session, setSession] = useState<string>();
  const { busy, error, run } = useAction();
  const set = (name: string) => (value: string) => setValues((known) => ({ ...known, [name]: value }));
  const start = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const path = { id: studio, action: action.id };
      const call = api.POST("/studios/{id}/actions/{action}/runs", {
        params: { path },
        body: { inputs: values },
      });
      setSession((await ask(call)).id);
    });
  };
  return (
    <section aria-label={action.name}>
      <h3>{action.name}</h3>
      <form onSubmit={start} aria-label={action.name}>
        {action.inputs.map((it) => {
          const label = it.label || it.name;
          const choices = it.type === "boolean" ? ["false", "true"] : it.choices;
          return choices.length > 0 ? (
            <Choice
              key={it.name}
              label={label}
              value={values[it.name] ?? ""}
              choices={choices.map((choice) => [choice, choice])}
              onChoice={set(it.name)}
            />
          ) : (
            <Field
              key={it.name}
              label={label}
              type={it.type === "number" ? "number" : "text"}
              step="any"
              required={it.required}
              value={values[it.name] ?? ""}
              onText={set(it.name)}
            />
          );
        })}
        <button disabled={busy}>{text.run}</button>
      </form>
      <Failure error={error} />
      {session && <SessionOutput key={session} studio={studio} session={session} onEnd={nothing} />}
    </section>
  );
}
