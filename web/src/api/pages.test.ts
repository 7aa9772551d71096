import { expect, test } from "vitest";
import { withPage } from "./pages";

const keyOf = (it: { id: string }) => it.id;

test("a page goes behind what is known, and its end is the list's end", () => {
  const known = { items: [{ id: "a" }, { id: "b" }], next: "b" };
  expect(withPage(known, { items: [{ id: "c" }] }, keyOf)).toEqual({
    items: [{ id: "a" }, { id: "b" }, { id: "c" }],
    next: null,
  });
});

test("what moved to the next page while it was loaded is there once, as it is now", () => {
  const known = { items: [{ id: "a", n: 1 }], next: "a" };
  const more = { items: [{ id: "a", n: 2 }], next: "z" };
  expect(withPage(known, more, keyOf)).toEqual({ items: [{ id: "a", n: 2 }], next: "z" });
});
