import { useCallback, useState } from "react";
import { api, ask } from "../api/client";
import { readable } from "../api/mounts";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { text } from "../text/en";

type Props = { zone: string; onRestored: () => void };

/** What was deleted or replaced and can be had back; read when it is opened. */
export function ZoneTrash({ zone, onRestored }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{text.trash}</summary>
      {open && <TrashItems zone={zone} onRestored={onRestored} />}
    </details>
  );
}

function TrashItems({ zone, onRestored }: Props) {
  const trash = useLoaded(
    useCallback(() => ask(api.GET("/zones/{zone}/trash", { params: { path: { zone } } })), [zone]),
  );
  const { busy, error, run } = useAction();
  const restore = (id: string) =>
    run(async () => {
      await ask(api.POST("/zones/{zone}/trash/{id}/restore", { params: { path: { zone, id } } }));
      trash.reload();
      onRestored();
    });
  return (
    <>
      <Failure error={trash.error ?? error} />
      {trash.data?.items.length === 0 && <p>{text.noTrash}</p>}
      <ul className="plain">
        {trash.data?.items.map((it) => (
          <li key={it.id}>
            {it.path}, {readable(it.size)}, {it.reason},{" "}
            <time dateTime={it.deleted_at}>{new Date(it.deleted_at).toLocaleString()}</time>{" "}
            <button disabled={busy} aria-label={text.restoreOf(it.path)} onClick={() => restore(it.id)}>
              {text.restore}
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
