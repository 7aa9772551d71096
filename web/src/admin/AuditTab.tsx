import { useCallback } from "react";
import { api, ask, type Schemas } from "../api/client";
import { usePages } from "../api/pages";
import { Failure } from "../components/Failure";
import { More } from "../components/More";
import { text } from "../text/en";

// Entries have no number here; two that are alike in all of this are one for a reader, too.
const keyOf = (it: Schemas["AuditView"]) =>
  JSON.stringify([it.at, it.login, it.action, it.subject, it.detail]);

/** Who did what, newest first. */
export function AuditTab() {
  const load = useCallback(
    (after?: string) => ask(api.GET("/audit", { params: { query: after === undefined ? {} : { after } } })),
    [],
  );
  const entries = usePages(load, keyOf);
  return (
    <>
      <button onClick={entries.reload}>{text.reload}</button>
      <Failure error={entries.error} />
      <table aria-label={text.audit}>
        <thead>
          <tr>
            {[text.time, text.login, text.action, text.subject, text.detail].map((it) => (
              <th key={it} scope="col">
                {it}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {entries.items?.map((it) => (
            <tr key={keyOf(it)}>
              <td>
                <time dateTime={it.at}>{new Date(it.at).toLocaleString()}</time>
              </td>
              <td>{it.login}</td>
              <td>{it.action}</td>
              <td>{it.subject}</td>
              <td>{it.detail}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <More more={entries.more} />
    </>
  );
}
