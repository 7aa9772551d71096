import { expect, test } from "vitest";
import { crumbs, join } from "./zonePath";

test("paths are joined and taken apart", () => {
  expect(join("", "a")).toBe("a");
  expect(join("a/b", "c")).toBe("a/b/c");
  expect(crumbs("a/b")).toEqual([
    { name: "a", path: "a" },
    { name: "b", path: "a/b" },
  ]);
  expect(crumbs("")).toEqual([]);
});
