import { useCallback, useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { text } from "../text/en";

type Props = { zone: string; path: string; onRestored: () => void };

/** Who changed what when, where the zone keeps a history; and the way back. */
export function ZoneHistory({ zone, path, onRestored }: Props) {
  const history = useLoaded(
    useCallback(async () => {
      const query = { path, limit: 50 };
      const { data, response } = await api.GET("/zones/{zone}/history", {
        params: { path: { zone }, query },
      });
      // A zone without a history says so with a conflict.
      return response.ok && data ? data.items : [];
    }, [zone, path]),
  );
  const [shown, setShown] = useState<Schemas["CommitView"]>();
  const { busy, error, run } = useAction();
  const look = (commit: string) =>
    run(async () => {
      const call = api.GET("/zones/{zone}/history/{commit}", { params: { path: { zone, commit } } });
      setShown(await ask(call));
    });
  const restore = (commit: string) =>
    run(async () => {
      const call = api.POST("/zones/{zone}/restore", {
        params: { path: { zone } },
        body: { path, commit },
      });
      await ask(call);
      history.reload();
      onRestored();
    });
  if (!history.data?.length) return <Failure error={history.error} />;
  return (
    <section aria-label={text.history}>
      <h3>{text.historyOf(path || zone)}</h3>
      <Failure error={error} />
      <ul className="plain">
        {history.data.map((it) => (
          <li key={it.commit}>
            <button className="link" disabled={busy} onClick={() => look(it.commit)}>
              {it.message.split("\n")[0]}
            </button>{" "}
            {it.author}, <time dateTime={it.at}>{new Date(it.at).toLocaleString()}</time>{" "}
            {path && (
              <button disabled={busy} onClick={() => restore(it.commit)}>
                {text.restore}
              </button>
            )}
          </li>
        ))}
      </ul>
      {shown?.changes?.map((it) => (
        <details key={it.path} open>
          <summary>
            {it.change} {it.path}
          </summary>
          <pre>{it.diff ?? text.noDiff}</pre>
        </details>
      ))}
    </section>
  );
}
