import { useCallback } from "react";
import { Link, useParams } from "react-router";
import { api, ask } from "../api/client";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { NewStudio } from "../components/NewStudio";
import { Status } from "../components/Status";
import { StudioButtons } from "../components/StudioButtons";
import { text } from "../text/en";

const REFRESH_MS = 3000;

export function ProjectPage() {
  const { project: key = "" } = useParams();
  const params = { params: { path: { key } } };
  const project = useLoaded(
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `params` is made of `key`
    useCallback(() => ask(api.GET("/projects/{key}", params)), [key]),
  );
  const studios = useLoaded(
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `params` is made of `key`
    useCallback(() => ask(api.GET("/projects/{key}/studios", params)), [key]),
    REFRESH_MS,
  );
  const templates = useLoaded(useCallback(() => ask(api.GET("/templates")), []));
  if (project.data === undefined) return <Status error={project.error} />;
  return (
    <>
      <h1>{project.data.name}</h1>
      <p>{project.data.description}</p>
      <h2>{text.studios}</h2>
      <Failure error={studios.error} />
      {studios.data?.items.length === 0 && <p>{text.noStudios}</p>}
      <table aria-label={text.studios}>
        <thead>
          <tr>
            {[text.name, text.template, text.owner, text.state].map((it) => (
              <th key={it}>{it}</th>
            ))}
            <td />
          </tr>
        </thead>
        <tbody>
          {studios.data?.items.map((it) => (
            <tr key={it.id}>
              <td>
                <Link to={`/studios/${it.id}`}>{it.name}</Link>
                {it.restart_to_update && <span className="badge">{text.restartToUpdate}</span>}
              </td>
              <td>{it.template_label}</td>
              <td>{it.owner}</td>
              <td>{it.state}</td>
              <td>
                <StudioButtons studio={it} onChange={studios.reload} onDeleted={studios.reload} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Failure error={templates.error} />
      {templates.data && (
        <NewStudio project={key} templates={templates.data.items} onCreated={studios.reload} />
      )}
    </>
  );
}
