import { useState } from "react";
import { api, ask } from "../api/client";
import { useAction } from "../api/useAction";
import type { Studio } from "../api/useStudio";
import { Failure } from "../components/Failure";
import { text } from "../text/en";
import { Terminal } from "./Terminal";

const SIZE = { columns: 80, rows: 24 };

/** Shells that run in the studio: new ones, and those that were left open. */
export function TerminalTab({ studio }: { studio: Studio }) {
  const [session, setSession] = useState<string>();
  const [open, setOpen] = useState<string[]>([]);
  const { busy, error, run } = useAction();
  if (studio.state !== "RUNNING") return <p>{text.notRunning}</p>;
  const params = { params: { path: { id: studio.id } } };
  const start = () =>
    run(async () => {
      const body = { command: [], terminal: SIZE, stdin: true };
      setSession((await ask(api.POST("/studios/{id}/sessions", { ...params, body }))).id);
    });
  const look = () =>
    run(async () => {
      const { items } = await ask(api.GET("/studios/{id}/sessions", params));
      setOpen(items.filter((it) => it.terminal && !it.exit).map((it) => it.id));
    });
  return (
    <>
      <div className="row">
        <button disabled={busy} onClick={start}>
          {text.newTerminal}
        </button>
        <button disabled={busy} onClick={look}>
          {text.openTerminals}
        </button>
        {open.map((it) => (
          <button key={it} onClick={() => setSession(it)}>
            {it}
          </button>
        ))}
      </div>
      <Failure error={error} />
      {session && <Terminal key={session} studio={studio.id} session={session} />}
    </>
  );
}
