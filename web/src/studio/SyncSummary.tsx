import type { Schemas } from "../api/client";
import { text } from "../text/en";

function said({ path, from }: Schemas["PathChange"]) {
  return from ? `${from} → ${path}` : path;
}

/** What a synchronisation did, mount by mount where anything happened. */
export function SyncSummary({ result }: { result: Schemas["SyncResult"] }) {
  const told = result.mounts.filter(
    (it) => it.to_server.length + it.to_studio.length + it.skipped.length > 0,
  );
  const back = result.mounts.reduce((sum, it) => sum + (it.brought_back ?? 0), 0);
  const changes = result.mounts.reduce((sum, it) => sum + it.to_server.length + it.to_studio.length, 0);
  return (
    <div role="status" aria-label={text.syncResult}>
      <p>{text.synchronised(changes, result.commits.length)}</p>
      {back > 0 && <p>{text.broughtBack(back)}</p>}
      {told.map((it) => (
        <details key={it.mount}>
          <summary>{text.mountChanges(it.mount, it.to_server.length, it.to_studio.length)}</summary>
          <ul>
            {it.to_server.map((change) => (
              <li key={`server ${change.path}`}>
                {text.onServer} {change.change}: {said(change)}
              </li>
            ))}
            {it.to_studio.map((change) => (
              <li key={`studio ${change.path}`}>
                {text.inStudio} {change.change}: {said(change)}
              </li>
            ))}
            {it.skipped.map((skipped) => (
              <li key={`skipped ${skipped.path}`}>
                {text.skipped} {skipped.path}: {skipped.reason}
              </li>
            ))}
          </ul>
        </details>
      ))}
    </div>
  );
}
