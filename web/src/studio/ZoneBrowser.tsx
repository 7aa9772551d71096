import { useCallback, useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { crumbs, join } from "../api/zonePath";
import { Failure } from "../components/Failure";
import { text } from "../text/en";
import { ZoneFile } from "./ZoneFile";
import { ZoneHistory } from "./ZoneHistory";
import { ZoneTrash } from "./ZoneTrash";

/** Folders and files of a zone. */
export function ZoneBrowser({ zone }: { zone: string }) {
  const [folder, setFolder] = useState("");
  const [file, setFile] = useState<string>();
  const files = useLoaded(
    useCallback(
      () => ask(api.GET("/zones/{zone}/files", { params: { path: { zone }, query: { path: folder } } })),
      [zone, folder],
    ),
  );
  const { busy, error, run } = useAction();
  const go = (path: string) => {
    setFolder(path);
    setFile(undefined);
  };
  const open = (it: Schemas["ZoneFileView"]) => {
    if (it.kind === "folder") setFolder(it.path);
    setFile(it.kind === "file" ? it.path : undefined);
  };
  const upload = (chosen: FileList | null) =>
    run(async () => {
      for (const it of chosen ?? []) await write(zone, join(folder, it.name), it);
      files.reload();
    });
  const remove = (path: string) => {
    if (!confirm(text.removeFile(path))) return;
    void run(async () => {
      await ask(api.DELETE("/zones/{zone}/content", { params: { path: { zone }, query: { path } } }));
      setFile(undefined);
      files.reload();
    });
  };
  return (
    <section aria-label={text.files}>
      <nav aria-label={text.folders} className="row">
        <button onClick={() => go("")}>{zone}</button>
        {crumbs(folder).map((it) => (
          <button key={it.path} onClick={() => go(it.path)}>
            {it.name}
          </button>
        ))}
        <label className="upload">
          {text.upload}
          <input type="file" multiple disabled={busy} onChange={(event) => upload(event.target.files)} />
        </label>
      </nav>
      <Failure error={files.error ?? error} />
      <table>
        <thead>
          <tr>
            <th scope="col">{text.name}</th>
            <th scope="col">{text.size}</th>
            <th scope="col">{text.changed}</th>
            <th scope="col" />
          </tr>
        </thead>
        <tbody>
          {files.data?.items.map((it) => (
            <tr key={it.path}>
              <td>
                <button className="link" onClick={() => open(it)}>
                  {it.kind === "folder" ? `${it.name}/` : it.name}
                </button>
              </td>
              <td>{it.kind === "file" ? text.bytes(it.size) : ""}</td>
              <td>{new Date(it.modified_at).toLocaleString()}</td>
              <td>
                <button
                  disabled={busy}
                  onClick={() => remove(it.path)}
                  aria-label={`${text.remove} ${it.name}`}
                >
                  {text.remove}
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {file && <ZoneFile key={file} zone={zone} path={file} onSaved={files.reload} />}
      <ZoneHistory key={`${file ?? folder}`} zone={zone} path={file ?? folder} onRestored={files.reload} />
      <ZoneTrash zone={zone} onRestored={files.reload} />
    </section>
  );
}

/** Content goes as it is: the typed client only knows JSON. */
async function write(zone: string, path: string, body: Blob) {
  const url = `/api/v1/zones/${encodeURIComponent(zone)}/content?path=${encodeURIComponent(path)}`;
  const answer = await fetch(url, { method: "PUT", body });
  if (!answer.ok) throw new Error(((await answer.json()) as Schemas["ProblemDetails"]).detail);
}
