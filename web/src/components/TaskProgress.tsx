import { useEffect, useReducer, useState } from "react";
import { follow } from "../api/events";
import { reduceSteps, type StepEvent } from "../api/steps";
import { text } from "../text/en";

/** The steps of a task as they happen. */
export function TaskProgress({ task, onEnd }: { task: string; onEnd: () => void }) {
  const [steps, dispatch] = useReducer(reduceSteps, []);
  const [broken, setBroken] = useState(false);
  useEffect(
    () =>
      follow(
        `/api/v1/tasks/${encodeURIComponent(task)}/events`,
        ["step", "end"],
        (name, data) => (name === "end" ? onEnd() : dispatch(data as StepEvent)),
        setBroken,
      ),
    [task, onEnd],
  );
  return (
    <section aria-label={text.progress}>
      <h2>{text.progress}</h2>
      {broken && <p role="status">{text.broken}</p>}
      <ol aria-live="polite">
        {steps.map((it) => (
          <li key={it.step}>
            {it.step}: {it.status} {it.message}{" "}
            <time dateTime={it.at}>{new Date(it.at).toLocaleTimeString()}</time>
          </li>
        ))}
      </ol>
    </section>
  );
}
