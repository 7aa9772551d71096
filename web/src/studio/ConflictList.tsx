import { useCallback } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useLoaded } from "../api/useLoaded";
import type { Studio } from "../api/useStudio";
import { Failure } from "../components/Failure";
import { text } from "../text/en";
import { ConflictItem } from "./ConflictItem";

type Props = {
  studio: Studio;
  busy: boolean;
  onDecide: (body: Partial<Schemas["SyncBody"]>) => void;
};

/** What waits for a decision. */
export function ConflictList({ studio, busy, onDecide }: Props) {
  const open = useLoaded(
    useCallback(
      () => ask(api.GET("/studios/{id}/conflicts", { params: { path: { id: studio.id } } })),
      [studio.id],
    ),
  );
  const decide = (conflict: Schemas["Conflict"]) => (keep: Schemas["KeepChoice"]) =>
    onDecide({
      resolutions: [
        { mount: conflict.mount, path_base64: conflict.path_base64, keep, token: conflict.token },
      ],
    });
  return (
    <>
      <Failure error={open.error} />
      {open.data?.questions.map((it) => (
        <div key={it.mount} role="alert" className="failure">
          <p>{text.massDeletion(it.mount, it.side, it.deletions, it.of, it.already ?? 0)}</p>
          <div className="row">
            <button disabled={busy} onClick={() => onDecide({ allow_mass_deletion: [it.mount] })}>
              {text.allowDeletion}
            </button>
            <button disabled={busy} onClick={() => onDecide({ undo_mass_deletion: [it.mount] })}>
              {text.undoDeletion}
            </button>
          </div>
        </div>
      ))}
      {open.data && open.data.conflicts.length > 0 && (
        <section aria-label={text.conflicts}>
          <h3>{text.conflicts}</h3>
          <ul className="plain">
            {open.data.conflicts.map((it) => (
              <ConflictItem
                key={`${it.mount} ${it.token}`}
                studio={studio.id}
                conflict={it}
                busy={busy}
                onKeep={decide(it)}
              />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
