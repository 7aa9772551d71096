import { useEffect, useState } from "react";
import type { Schemas } from "../api/client";
import { follow } from "../api/events";
import { text } from "../text/en";

type End = { state: string; failure?: string | null };
const LINES_LIMIT = 5000;

/** The log of a build as it is written. Mount it with the build's id as key. */
export function BuildLog({ build, onEnd }: { build: string; onEnd: () => void }) {
  const [lines, setLines] = useState<Schemas["BuildLine"][]>([]);
  const [end, setEnd] = useState<End>();
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    const take = (name: string, data: unknown) => {
      if (name === "line")
        setLines((known) => [...known.slice(1 - LINES_LIMIT), data as Schemas["BuildLine"]]);
      else {
        setEnd(data as End);
        onEnd();
      }
    };
    return follow(`/api/v1/builds/${encodeURIComponent(build)}/log`, ["line", "end"], take, setBroken);
  }, [build, onEnd]);
  return (
    <section aria-label={text.buildLog}>
      <h2>{text.buildLog}</h2>
      {broken && <p role="status">{text.broken}</p>}
      <pre role="log">{lines.map((it) => `${it.node}: ${it.text}\n`)}</pre>
      <p role="status">{end && [end.state, end.failure].filter(Boolean).join(": ")}</p>
    </section>
  );
}
