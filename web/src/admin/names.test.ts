import { expect, test } from "vitest";
import { namesIn } from "./names";

test("names are told apart by commas and white space, and count once", () => {
  expect(namesIn(" ada, grace\n ada,,linus ")).toEqual(["ada", "grace", "linus"]);
});

test("nothing written is no name", () => {
  expect(namesIn(" , ")).toEqual([]);
});
