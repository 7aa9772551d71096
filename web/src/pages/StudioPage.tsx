import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { useStudio } from "../api/useStudio";
import { Failure } from "../components/Failure";
import { Status } from "../components/Status";
import { StudioButtons } from "../components/StudioButtons";
import { Tabs } from "../components/Tabs";
import { ActionsTab } from "../studio/ActionsTab";
import { FilesTab } from "../studio/FilesTab";
import { LogsTab } from "../studio/LogsTab";
import { StartProgress } from "../studio/StartProgress";
import { TerminalTab } from "../studio/TerminalTab";
import { ViewTab } from "../studio/ViewTab";
import { text } from "../text/en";

const nothing = () => undefined;

export function StudioPage() {
  const { studio: id = "" } = useParams();
  const navigate = useNavigate();
  const [search, setSearch] = useSearchParams();
  const { studio, error, broken } = useStudio(id);
  if (studio === undefined) return <Status error={error} />;
  const project = `/projects/${encodeURIComponent(studio.project)}`;
  const open = studio.conflicts + studio.questions;
  const tabs = [
    { key: "view", label: text.view, content: () => <ViewTab studio={studio} /> },
    {
      key: "files",
      label: open > 0 ? text.filesOpen(open) : text.files,
      content: () => <FilesTab studio={studio} />,
    },
    { key: "actions", label: text.actions, content: () => <ActionsTab studio={studio} /> },
    { key: "terminal", label: text.terminal, content: () => <TerminalTab studio={studio} /> },
    { key: "logs", label: text.logs, content: () => <LogsTab studio={studio} /> },
  ];
  return (
    <>
      <p>
        <Link to={project}>{studio.project}</Link>
      </p>
      <div className="row">
        <h1>
          {studio.name}
          {studio.restart_to_update && <span className="badge">{text.restartToUpdate}</span>}
        </h1>
        <span role="status" className="state">
          {studio.state}
        </span>
        <span>{studio.template_label}</span>
        <StudioButtons studio={studio} onChange={nothing} onDeleted={() => navigate(project)} />
      </div>
      {broken && <p role="status">{text.broken}</p>}
      <Failure error={error} />
      <Failure error={studio.failure ? new Error(studio.failure) : undefined} />
      {studio.notices.length > 0 && (
        <ul>
          {studio.notices.map((it) => (
            <li key={it}>{it}</li>
          ))}
        </ul>
      )}
      {studio.state === "STARTING" && <StartProgress events={studio.start_progress} />}
      {studio.my_right === "use" && (
        <Tabs
          label={studio.name}
          tabs={tabs}
          shown={search.get("tab") ?? "view"}
          onShow={(tab) => setSearch({ tab }, { replace: true })}
        />
      )}
    </>
  );
}
