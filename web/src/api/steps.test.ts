import { expect, test } from "vitest";
import { reduceSteps, type StepEvent } from "./steps";

const event = (seq: number, step: string, status: StepEvent["status"]): StepEvent => ({
  seq,
  step,
  status,
  at: "2026-01-01T00:00:00Z",
  message: "",
});

test("a step keeps its place and takes its newest status", () => {
  const steps = [event(1, "a", "began"), event(2, "b", "began"), event(3, "a", "done")].reduce(
    reduceSteps,
    [],
  );
  expect(steps.map((it) => [it.step, it.status])).toEqual([
    ["a", "done"],
    ["b", "began"],
  ]);
});

test("an event that is replayed changes nothing", () => {
  const steps = [event(1, "a", "began"), event(2, "a", "done")].reduce(reduceSteps, []);
  expect(reduceSteps(steps, event(1, "a", "began"))).toBe(steps);
});
