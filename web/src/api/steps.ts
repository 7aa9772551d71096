import type { Schemas } from "./client";

export type StepEvent = Schemas["TaskEvent"];

/** One line a step, in the order in which they began; events that came again after a reconnect change nothing. */
export function reduceSteps(steps: StepEvent[], event: StepEvent): StepEvent[] {
  const place = steps.findIndex((it) => it.step === event.step);
  if (place < 0) return [...steps, event];
  const known = steps[place];
  if (known !== undefined && known.seq >= event.seq) return steps;
  return steps.with(place, event);
}
