import { api, ask, type Schemas } from "../api/client";
import { sightOf } from "../api/mounts";
import { useAction } from "../api/useAction";
import type { Mount } from "../api/useMounts";
import { Failure } from "../components/Failure";
import { text } from "../text/en";

/** One mount, with its two switches. */
export function MountItem({ studio, mount }: { studio: string; mount: Mount }) {
  const { busy, error, run } = useAction();
  const set = (body: Schemas["MountBody"]) =>
    run(() => {
      const params = { path: { id: studio, mount: mount.id } };
      return ask(api.PATCH("/studios/{id}/mounts/{mount}", { params, body }));
    });
  const sides = [
    { side: text.onServer, sight: mount.server_sight },
    { side: text.inStudio, sight: mount.studio_sight },
  ];
  const unseen = sides.filter((it) => it.sight && !it.sight.watching);
  return (
    <li aria-label={mount.target}>
      <div className="row">
        <strong>{mount.target}</strong>
        <label>
          <input
            type="checkbox"
            checked={mount.live}
            disabled={busy}
            aria-label={text.liveOf(mount.target)}
            onChange={(event) => set({ live: event.target.checked, merge: null })}
          />{" "}
          {text.live}
        </label>
        {!mount.one_way && (
          <label>
            <input
              type="checkbox"
              checked={mount.merge}
              disabled={busy}
              aria-label={text.mergeOf(mount.target)}
              onChange={(event) => set({ live: null, merge: event.target.checked })}
            />{" "}
            {text.merge}
          </label>
        )}
        {mount.live && unseen.length === 0 && mount.studio_sight && <span>{text.watching}</span>}
      </div>
      <Failure error={error} />
      {unseen.map((it) => (
        <p key={it.side} role="status">
          {text.unseen(it.side, sightOf(it.sight))}
        </p>
      ))}
      {mount.progress && <MountProgress target={mount.target} progress={mount.progress} />}
      {mount.last && (
        <details>
          <summary>
            {text.lastRun(mount.last.cause, new Date(mount.last.began_at), mount.last.took_ms)}
          </summary>
          {mount.last.failure && <p>{text.brokeOff(mount.last.failure)}</p>}
          <p>{text.moved(mount.last.moved)}</p>
          <p>
            {text.totals(mount.totals.runs, mount.totals.failed, new Date(mount.totals.since))}{" "}
            {text.moved(mount.totals.moved)}
          </p>
        </details>
      )}
    </li>
  );
}

type ProgressProps = { target: string; progress: Schemas["SyncProgress"] };

/** How far it is: the bar for eyes, the words for everybody. */
function MountProgress({ target, progress }: ProgressProps) {
  const { files, files_done, bytes, bytes_expected, bytes_per_s, in_flight } = progress;
  const all = bytes_expected || files;
  const done = bytes_expected ? bytes : files_done;
  return (
    <div>
      <progress aria-label={text.progressOf(target)} {...(files > 0 && { value: done, max: all })} />{" "}
      {files === 0 ? text.looking : text.movedSoFar(files_done, files, bytes, bytes_expected, bytes_per_s)}
      {in_flight && <div>{text.inFlight(in_flight.path, in_flight.bytes, in_flight.size)}</div>}
    </div>
  );
}
