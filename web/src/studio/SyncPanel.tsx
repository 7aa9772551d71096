import { useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import type { Studio } from "../api/useStudio";
import { Failure } from "../components/Failure";
import { text } from "../text/en";
import { ConflictList } from "./ConflictList";
import { SyncSummary } from "./SyncSummary";

/** Seconds that a request waits for the end; it is asked again until then. */
const WAIT_S = 60;

/** Synchronises, and says what came of it and what is to be decided. */
export function SyncPanel({ studio, onDone }: { studio: Studio; onDone: () => void }) {
  const [result, setResult] = useState<Schemas["SyncResult"]>();
  const { busy, error, run } = useAction();
  const running = studio.state === "RUNNING";
  const synchronise = (body: Partial<Schemas["SyncBody"]>) =>
    run(async () => {
      const params = { path: { id: studio.id }, query: { wait: WAIT_S } };
      let task = await ask(api.POST("/studios/{id}/sync", { params, body: body as Schemas["SyncBody"] }));
      while (task.state === "running") {
        const again = { path: { id: task.id }, query: { wait: WAIT_S } };
        task = await ask(api.GET("/tasks/{id}", { params: again }));
      }
      if (task.failure) throw new Error(task.failure);
      setResult(task.result as Schemas["SyncResult"]);
      onDone();
    });
  return (
    <section aria-label={text.synchronise}>
      <div className="row">
        <button disabled={busy || !running} onClick={() => synchronise({})}>
          {text.synchronise}
        </button>
        <button disabled={busy || !running} onClick={() => synchronise({ direction: "pull" })}>
          {text.pull}
        </button>
        <button disabled={busy || !running} onClick={() => synchronise({ direction: "push" })}>
          {text.push}
        </button>
        {busy && <span role="status">{text.loading}</span>}
      </div>
      <Failure error={error} />
      {result && <SyncSummary result={result} />}
      <ConflictList
        key={`${studio.conflicts} ${studio.questions} ${result?.mounts.map((it) => it.took_ms).join()}`}
        studio={studio}
        busy={busy || !running}
        onDecide={synchronise}
      />
    </section>
  );
}
