import { expect, test } from "vitest";
import { fieldsOf, moved, withField } from "./fields";

test("each schema gets its form, and what has none is JSON", () => {
  const kinds = fieldsOf({
    required: ["name"],
    properties: {
      type: { const: "x" },
      name: { type: "string" },
      port: { type: ["integer", "null"] },
      on: { type: "boolean" },
      mode: { type: "string", enum: ["a", "b"] },
      modules: { type: "array", items: { type: "string" } },
      nested: { type: "object" },
      other: { $ref: "#/$defs/other" },
    },
  }).map((it) => [it.name, it.kind, it.required]);
  expect(kinds).toEqual([
    ["name", "text", true],
    ["port", "number", false],
    ["on", "flag", false],
    ["mode", "choice", false],
    ["modules", "lines", false],
    ["nested", "json", false],
    ["other", "json", false],
  ]);
});

test("a parameter that is cleared is left out", () => {
  expect(withField({ type: "x", port: 1 }, "port", undefined)).toEqual({ type: "x" });
  expect(withField({ type: "x" }, "port", 0)).toEqual({ type: "x", port: 0 });
});

test("items move within the list only", () => {
  expect(moved(["a", "b", "c"], 0, 1)).toEqual(["b", "a", "c"]);
  expect(moved(["a"], 0, -1)).toEqual(["a"]);
  expect(moved(["a"], 0, 1)).toEqual(["a"]);
});
