import { useId, useState } from "react";
import type { FormField } from "../api/fields";
import { text } from "../text/en";

type Props = { field: FormField; value: unknown; onValue: (value: unknown) => void };

/** One parameter of a block. Empty means: the default. */
export function BlockField({ field, value, onValue }: Props) {
  const id = useId();
  const [draft, setDraft] = useState<string>();
  const [wrong, setWrong] = useState(false);
  const common = { id, "aria-describedby": `${id}-hint`, required: field.required };
  const shown = value === undefined || value === null ? "" : String(value);
  const takeJson = (written: string) => {
    setDraft(written);
    try {
      onValue(written.trim() === "" ? undefined : JSON.parse(written));
      setWrong(false);
    } catch {
      setWrong(true);
    }
  };
  const input = () => {
    switch (field.kind) {
      case "flag":
        return (
          <input
            {...common}
            required={false}
            type="checkbox"
            checked={value === true}
            onChange={(e) => onValue(e.target.checked)}
          />
        );
      case "number":
        return (
          <input
            {...common}
            type="number"
            value={shown}
            onChange={(e) => onValue(e.target.value === "" ? undefined : e.target.valueAsNumber)}
          />
        );
      case "choice":
        return (
          <select {...common} value={shown} onChange={(e) => onValue(e.target.value || undefined)}>
            <option value="">{text.noValue}</option>
            {field.choices.map((it) => (
              <option key={it}>{it}</option>
            ))}
          </select>
        );
      case "lines":
        return (
          <textarea
            {...common}
            rows={3}
            value={draft ?? (Array.isArray(value) ? value.join("\n") : "")}
            onChange={(e) => {
              setDraft(e.target.value);
              onValue(e.target.value.split("\n").filter((line) => line.trim() !== ""));
            }}
          />
        );
      case "json":
        return (
          <textarea
            {...common}
            rows={4}
            aria-invalid={wrong}
            value={draft ?? (value === undefined ? "" : JSON.stringify(value, null, 2))}
            onChange={(e) => takeJson(e.target.value)}
          />
        );
      case "text":
        return <input {...common} value={shown} onChange={(e) => onValue(e.target.value || undefined)} />;
    }
  };
  return (
    <div className="field">
      <label htmlFor={id}>{field.label}</label>
      {input()}
      <p className="hint" id={`${id}-hint`}>
        {wrong ? text.notJson : field.hint}
      </p>
    </div>
  );
}
