import { useCallback } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { api, ask } from "../api/client";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { Status } from "../components/Status";
import { StudioButtons } from "../components/StudioButtons";
import { TaskProgress } from "../components/TaskProgress";
import { text } from "../text/en";

const REFRESH_MS = 3000;

export function StudioPage() {
  const { studio: id = "" } = useParams();
  const navigate = useNavigate();
  const studio = useLoaded(
    useCallback(() => ask(api.GET("/studios/{id}", { params: { path: { id } } })), [id]),
    REFRESH_MS,
  );
  const it = studio.data;
  if (it === undefined) return <Status error={studio.error} />;
  const project = `/projects/${encodeURIComponent(it.project)}`;
  return (
    <>
      <p>
        <Link to={project}>{it.project}</Link>
      </p>
      <h1>
        {it.name}
        {it.restart_to_update && <span className="badge">{text.restartToUpdate}</span>}
      </h1>
      <Failure error={studio.error} />
      <dl>
        <dt>{text.state}</dt>
        <dd role="status">{it.state}</dd>
        <dt>{text.template}</dt>
        <dd>{it.template_label}</dd>
        <dt>{text.owner}</dt>
        <dd>{it.owner}</dd>
      </dl>
      <Failure error={it.failure ? new Error(it.failure) : undefined} />
      <StudioButtons studio={it} onChange={studio.reload} onDeleted={() => navigate(project)} />
      {it.task && <TaskProgress key={it.task} task={it.task} onEnd={studio.reload} />}
    </>
  );
}
