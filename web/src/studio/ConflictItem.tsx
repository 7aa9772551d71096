import { useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { Failure } from "../components/Failure";
import { text } from "../text/en";

type Props = {
  studio: string;
  conflict: Schemas["Conflict"];
  busy: boolean;
  onKeep: (keep: Schemas["KeepChoice"]) => void;
};

const CHOICES: Schemas["KeepChoice"][] = ["studio", "server", "both"];

/** Both versions of one file, their difference, and the ways out. */
export function ConflictItem({ studio, conflict, busy, onKeep }: Props) {
  const [comparison, setComparison] = useState<Schemas["Comparison"]>();
  const action = useAction();
  const compare = () =>
    action.run(async () => {
      const query = { mount: conflict.mount, path_base64: conflict.path_base64 };
      const call = api.GET("/studios/{id}/conflicts/diff", { params: { path: { id: studio }, query } });
      setComparison(await ask(call));
    });
  return (
    <li aria-label={`${conflict.mount}/${conflict.path}`}>
      <p>
        <strong>
          {conflict.mount}/{conflict.path}
        </strong>{" "}
        {text.conflictKind[conflict.kind] ?? conflict.kind}
      </p>
      <dl>
        <Version label={text.onServer} version={conflict.server} />
        <Version label={text.inStudio} version={conflict.studio} />
      </dl>
      <div className="row">
        {CHOICES.map((keep) => (
          <button key={keep} disabled={busy} onClick={() => onKeep(keep)}>
            {text.keep[keep]}
          </button>
        ))}
        {comparison?.merge_clean && (
          <button disabled={busy} onClick={() => onKeep("merge")}>
            {text.keep.merge}
          </button>
        )}
        <button disabled={busy || action.busy} onClick={compare}>
          {text.compare}
        </button>
      </div>
      <Failure error={action.error} />
      {comparison && <pre aria-label={text.difference}>{comparison.diff ?? text.noDiff}</pre>}
    </li>
  );
}

type VersionProps = { label: string; version: Schemas["ConflictVersion"] | null | undefined };

function Version({ label, version }: VersionProps) {
  return (
    <>
      <dt>{label}</dt>
      <dd>
        {version
          ? [
              text.bytes(version.size),
              version.modified_at && new Date(version.modified_at).toLocaleString(),
              version.author,
            ]
              .filter(Boolean)
              .join(", ")
          : text.deleted}
      </dd>
    </>
  );
}
