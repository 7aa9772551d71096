import { useState } from "react";
import { api, ApiError, ask, type Schemas } from "../api/client";
import type { Block } from "../api/fields";
import { useAction } from "../api/useAction";
import { text } from "../text/en";
import { BlockList, type KeyedBlock } from "./BlockList";
import { Failure } from "./Failure";
import { Field } from "./Field";

type Props = { template: Schemas["TemplateView"]; kinds: Schemas["BlockView"][]; onSaved: () => void };

/** Edits a template. Saving makes a new version, and is refused when somebody else saved meanwhile. */
export function TemplateForm({ template, kinds, onSaved }: Props) {
  const first = template.spec as { blocks?: Block[] };
  const [label, setLabel] = useState(template.label);
  const [blocks, setBlocks] = useState<KeyedBlock[]>(
    (first.blocks ?? []).map((block, key) => ({ key, block })),
  );
  const [version, setVersion] = useState(template.version);
  const [message, setMessage] = useState("");
  const { busy, error, run } = useAction();
  const spec = () => ({ ...template.spec, label, blocks: blocks.map((it) => it.block) });
  const changed = <T,>(set: (value: T) => void) => {
    return (value: T) => {
      setMessage(text.unsaved);
      set(value);
    };
  };
  const validate = () =>
    run(async () => {
      const { problems } = await ask(api.POST("/templates/validate", { body: { spec: spec() } }));
      if (problems.length > 0) throw new ApiError(422, text.blocks, problems);
      setMessage(text.valid);
    });
  const save = () =>
    run(async () => {
      const body = { spec: spec(), expected_version: version };
      const saved = await ask(api.PUT("/templates/{id}", { params: { path: { id: template.id } }, body }));
      setVersion(saved.version);
      setMessage(text.saved(saved.version));
      onSaved();
    });
  return (
    <>
      <Field label={text.label} value={label} onText={changed(setLabel)} />
      <BlockList kinds={kinds} blocks={blocks} onBlocks={changed(setBlocks)} />
      <Failure error={error} />
      <p role="status">{message}</p>
      <div className="row">
        <button disabled={busy} onClick={validate}>
          {text.validate}
        </button>
        <button disabled={busy} onClick={save}>
          {text.save}
        </button>
      </div>
    </>
  );
}
