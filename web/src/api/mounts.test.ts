import { expect, test } from "vitest";
import { readable, sightOf } from "./mounts";

test("bytes are readable at every size", () => {
  const sizes = [0, 1023, 1024, 1536, 5 * 1024 ** 2, 3 * 1024 ** 4, 5000 * 1024 ** 4];
  expect(sizes.map(readable)).toEqual([
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 KiB",
    "5.0 MiB",
    "3.0 TiB",
    "5000.0 TiB",
  ]);
});

test("a side that is not watched says why and how often it is looked at", () => {
  expect(sightOf({ watching: false, reason: "full", look_every_ms: 2100 })).toEqual({
    reason: "full",
    everyS: 3,
  });
  expect(sightOf({ watching: false, reason: "full" })).toEqual({ reason: "full" });
});
