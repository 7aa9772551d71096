import { useEffect, useState } from "react";
import { api, ask } from "../api/client";
import { follow } from "../api/events";
import { appendText, bytesOf, exitInWords, type Exit } from "../api/output";
import { useAction } from "../api/useAction";
import { Failure } from "../components/Failure";
import { text } from "../text/en";

type Props = { studio: string; session: string; onEnd: () => void };

/** What a command prints as it does so, and how it ends. Mount it with the session's id as key. */
export function SessionOutput({ studio, session, onEnd }: Props) {
  const [output, setOutput] = useState("");
  const [exit, setExit] = useState<Exit>();
  const [broken, setBroken] = useState(false);
  const { busy, error, run } = useAction();
  useEffect(() => {
    const decoder = new TextDecoder();
    const take = (name: string, data: unknown) => {
      if (name === "output") {
        const bytes = bytesOf((data as { data: string }).data);
        setOutput((known) => appendText(known, decoder.decode(bytes, { stream: true })));
      } else if (name === "gap") setOutput((known) => appendText(known, `\n${text.gap}\n`));
      else {
        setExit(data as Exit);
        onEnd();
      }
    };
    const url = `/api/v1/studios/${encodeURIComponent(studio)}/sessions/${encodeURIComponent(session)}/output`;
    return follow(url, ["output", "gap", "exit"], take, setBroken);
  }, [studio, session, onEnd]);
  const params = { params: { path: { id: studio, sid: session } } };
  return (
    <section aria-label={text.output}>
      {broken && !exit && <p role="status">{text.broken}</p>}
      <pre role="log" aria-label={text.output}>
        {output}
      </pre>
      {exit ? (
        <p role="status">{exitInWords(exit)}</p>
      ) : (
        <button
          disabled={busy}
          onClick={() => run(() => ask(api.POST("/studios/{id}/sessions/{sid}/cancel", params)))}
        >
          {text.cancel}
        </button>
      )}
      <Failure error={error} />
    </section>
  );
}
