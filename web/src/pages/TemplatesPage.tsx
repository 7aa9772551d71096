import { useCallback, useState, type FormEvent } from "react";
import { Link } from "react-router";
import { api, ask } from "../api/client";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { Field } from "../components/Field";
import { Status } from "../components/Status";
import { text } from "../text/en";

export function TemplatesPage() {
  const templates = useLoaded(useCallback(() => ask(api.GET("/templates")), []));
  const [label, setLabel] = useState("");
  const { busy, error, run } = useAction();
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await ask(api.POST("/templates", { body: { spec: { label, blocks: [] } } }));
      setLabel("");
      templates.reload();
    });
  };
  if (templates.data === undefined) return <Status error={templates.error} />;
  return (
    <>
      <h1>{text.templates}</h1>
      {templates.data.items.length === 0 && <p>{text.noTemplates}</p>}
      <ul>
        {templates.data.items.map((it) => (
          <li key={it.id}>
            <Link to={`/templates/${it.id}`}>{it.label}</Link> ({text.image}:{" "}
            {it.image_ready ? text.ready : text.notBuilt})
          </li>
        ))}
      </ul>
      <form onSubmit={create} aria-label={text.createTemplate}>
        <Field label={text.label} value={label} onText={setLabel} required />
        <Failure error={error} />
        <button disabled={busy}>{text.createTemplate}</button>
      </form>
    </>
  );
}
