import { reduceSteps, type StepEvent } from "../api/steps";
import { text } from "../text/en";

/** The steps of a start, with their times. */
export function StartProgress({ events }: { events: StepEvent[] }) {
  const steps = events.reduce(reduceSteps, []);
  const began = events[0] && Date.parse(events[0].at);
  return (
    <section aria-label={text.progress}>
      <ol aria-live="polite" className="steps">
        {steps.map((it) => (
          <li key={it.step} data-status={it.status}>
            <strong>{it.step}</strong> {it.status} {it.message}{" "}
            {began !== undefined && (
              <time dateTime={it.at}>{text.seconds((Date.parse(it.at) - began) / 1000)}</time>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
