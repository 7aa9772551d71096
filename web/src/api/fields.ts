// What form a parameter of a block gets, from its JSON Schema. What has no small form is edited as JSON: nothing is out
// of reach, and the server judges all of it. (Validators that compile schemas need `eval`, which the policy forbids.)

export type Fields = Record<string, unknown>;
export type Block = Fields & { type: string };
export type Kind = "text" | "number" | "flag" | "choice" | "lines" | "json";
export type FormField = {
  name: string;
  label: string;
  hint: string;
  required: boolean;
  kind: Kind;
  choices: string[];
};

type Schema = {
  type?: string | string[];
  title?: string;
  description?: string;
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
};

const isText = (it: unknown): it is string => typeof it === "string";

function kindOf(schema: Schema): Kind {
  if (schema.enum !== undefined) return schema.enum.every(isText) ? "choice" : "json";
  const types = [schema.type ?? []].flat().filter((it) => it !== "null");
  if (types.length !== 1) return "json";
  switch (types[0]) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "flag";
    case "array":
      return schema.items?.type === "string" && schema.items.enum === undefined ? "lines" : "json";
    default:
      return "json";
  }
}

export function fieldsOf(schema: unknown): FormField[] {
  const { properties = {}, required = [] } = (schema ?? {}) as Schema;
  return Object.entries(properties)
    .filter(([name]) => name !== "type")
    .map(([name, it]) => ({
      name,
      label: it.title ?? name,
      hint: it.description ?? "",
      required: required.includes(name),
      kind: kindOf(it),
      choices: (it.enum ?? []).filter(isText),
    }));
}

/** The block with a parameter set, or without it: then the server's default holds. */
export function withField(block: Block, name: string, value: unknown): Block {
  const entries = Object.entries({ ...block, [name]: value }).filter(([, it]) => it !== undefined);
  return Object.fromEntries(entries) as Block;
}

/** The list with the item at `from` at `to`; the same list when `to` is outside of it. */
export function moved<T>(items: T[], from: number, to: number): T[] {
  const item = items[from];
  if (item === undefined || to < 0 || to >= items.length) return items;
  return items.toSpliced(from, 1).toSpliced(to, 0, item);
}
