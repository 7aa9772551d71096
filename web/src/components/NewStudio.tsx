import { useState, type FormEvent } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { text } from "../text/en";
import { Choice } from "./Choice";
import { Failure } from "./Failure";
import { Field } from "./Field";

type Props = { project: string; templates: Schemas["TemplateView"][]; onCreated: () => void };

export function NewStudio({ project, templates, onCreated }: Props) {
  const [name, setName] = useState("");
  const [template, setTemplate] = useState(templates[0]?.id ?? "");
  const { busy, error, run } = useAction();
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const path = { key: project };
      await ask(api.POST("/projects/{key}/studios", { params: { path }, body: { name, template } }));
      setName("");
      onCreated();
    });
  };
  return (
    <form onSubmit={create} aria-label={text.createStudio}>
      <Field label={text.name} value={name} onText={setName} required />
      <Choice
        label={text.template}
        value={template}
        choices={templates.map((it) => [it.id, it.label])}
        onChoice={setTemplate}
      />
      <Failure error={error} />
      <button disabled={busy || template === ""}>{text.createStudio}</button>
    </form>
  );
}
