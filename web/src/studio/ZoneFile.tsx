import { useCallback, useState } from "react";
import { problem } from "../api/client";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { text } from "../text/en";

/** Larger files are only downloaded. */
const SHOWN_BYTES = 512 * 1024;

type Content = { etag: string; shown: string | undefined };

/** A file's text, to read and to change; whatever else it is, to download. */
export function ZoneFile({ zone, path, onSaved }: { zone: string; path: string; onSaved: () => void }) {
  const url = `/api/v1/zones/${encodeURIComponent(zone)}/content?path=${encodeURIComponent(path)}`;
  const content = useLoaded(useCallback(() => load(url), [url]));
  const [draft, setDraft] = useState<string>();
  const { busy, error, run } = useAction();
  const save = () =>
    run(async () => {
      const headers = { "If-Match": content.data?.etag ?? "*" };
      const answer = await fetch(url, { method: "PUT", headers, body: draft ?? "" });
      if (!answer.ok) throw problem(answer.status, await answer.json());
      setDraft(undefined);
      content.reload();
      onSaved();
    });
  const shown = draft ?? content.data?.shown;
  return (
    <section aria-label={path}>
      <h3>{path}</h3>
      <Failure error={content.error ?? error} />
      {content.data && shown === undefined && <p>{text.notText}</p>}
      {shown !== undefined && (
        <textarea
          aria-label={text.contentOf(path)}
          value={shown}
          rows={16}
          spellCheck={false}
          onChange={(event) => setDraft(event.target.value)}
        />
      )}
      <div className="row">
        <button disabled={busy || draft === undefined} onClick={save}>
          {text.save}
        </button>
        <a href={url} download={path.split("/").at(-1)}>
          {text.download}
        </a>
      </div>
    </section>
  );
}

async function load(url: string): Promise<Content> {
  const answer = await fetch(url);
  if (!answer.ok) throw problem(answer.status, await answer.json());
  const etag = answer.headers.get("ETag") ?? "*";
  if (Number(answer.headers.get("Content-Length")) > SHOWN_BYTES) {
    await answer.body?.cancel();
    return { etag, shown: undefined };
  }
  try {
    return { etag, shown: new TextDecoder("utf-8", { fatal: true }).decode(await answer.arrayBuffer()) };
  } catch {
    return { etag, shown: undefined };
  }
}
