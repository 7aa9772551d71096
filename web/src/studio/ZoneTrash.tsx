import { useCallback, useState } from "react";
import { api, ask, type Schemas } from "../api/client";
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

/** The whole trash, or what is in an item that is a folder. */
function TrashItems({ zone, folder, onRestored }: Props & { folder?: string }) {
  const trash = useLoaded(
    useCallback(
      () =>
        ask(
          folder === undefined
            ? api.GET("/zones/{zone}/trash", { params: { path: { zone } } })
            : api.GET("/zones/{zone}/trash/{id}", { params: { path: { zone, id: folder } } }),
        ),
      [zone, folder],
    ),
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
      {trash.data?.items.length === 0 && <p>{folder === undefined ? text.noTrash : text.emptyFolder}</p>}
      <ul className="plain">
        {trash.data?.items.map((it) => (
          <li key={it.id}>
            {it.path}, {readable(it.size)}, {it.reason},{" "}
            <time dateTime={it.deleted_at}>{new Date(it.deleted_at).toLocaleString()}</time>{" "}
            <button disabled={busy} aria-label={text.restoreOf(it.path)} onClick={() => restore(it.id)}>
              {text.restore}
            </button>
            {it.kind === "folder" && <TrashFolder zone={zone} item={it} onRestored={onRestored} />}
          </li>
        ))}
      </ul>
    </>
  );
}

/** What is in a folder, one by one; read when it is opened. */
function TrashFolder({ zone, item, onRestored }: Props & { item: Schemas["TrashView"] }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{text.contentsOf(item.path)}</summary>
      {open && <TrashItems zone={zone} folder={item.id} onRestored={onRestored} />}
    </details>
  );
}
