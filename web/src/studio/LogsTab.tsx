import { useEffect, useState } from "react";
import type { Studio } from "../api/useStudio";
import { follow } from "../api/events";
import { appendText, bytesOf } from "../api/output";
import { Choice } from "../components/Choice";
import { text } from "../text/en";

/** Lines that are shown to begin with. */
const TAIL = 1000;

/** What each entrypoint prints; when the studio is stopped, what was kept of it. */
export function LogsTab({ studio }: { studio: Studio }) {
  const [chosen, setChosen] = useState(studio.entrypoints[0]?.id ?? "");
  if (studio.entrypoints.length === 0) return <p>{text.noTools}</p>;
  return (
    <>
      <Choice
        label={text.entrypoint}
        value={chosen}
        choices={studio.entrypoints.map((it) => [it.id, it.label || it.id])}
        onChoice={setChosen}
      />
      <Log key={`${chosen} ${studio.started_at}`} studio={studio.id} entrypoint={chosen} />
    </>
  );
}

function Log({ studio, entrypoint }: { studio: string; entrypoint: string }) {
  const [output, setOutput] = useState("");
  const [error, setError] = useState("");
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    const decoder = new TextDecoder();
    const take = (name: string, data: unknown) => {
      if (name === "error") setError((data as { detail: string }).detail);
      else if (name === "gap") setOutput((known) => appendText(known, `\n${text.gap}\n`));
      else {
        const bytes = bytesOf((data as { data: string }).data);
        setOutput((known) => appendText(known, decoder.decode(bytes, { stream: true })));
      }
    };
    const path = `${encodeURIComponent(studio)}/logs/${encodeURIComponent(entrypoint)}`;
    const url = `/api/v1/studios/${path}?follow=true&tail=${TAIL}`;
    return follow(url, ["chunk", "gap", "error"], take, setBroken);
  }, [studio, entrypoint]);
  return (
    <>
      <p role="status">{error || (broken ? text.noLogNow : "")}</p>
      <pre role="log" aria-label={text.logs}>
        {output}
      </pre>
    </>
  );
}
