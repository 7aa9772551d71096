import { useCallback, useState, type FormEvent } from "react";
import { Link } from "react-router";
import { api, ask } from "../api/client";
import { useAction } from "../api/useAction";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { Field } from "../components/Field";
import { Status } from "../components/Status";
import { text } from "../text/en";

export function ProjectsPage() {
  const projects = useLoaded(useCallback(() => ask(api.GET("/projects")), []));
  const [key, setKey] = useState("");
  const [name, setName] = useState("");
  const { busy, error, run } = useAction();
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await ask(api.POST("/projects", { body: { key, name } }));
      setKey("");
      setName("");
      projects.reload();
    });
  };
  if (projects.data === undefined) return <Status error={projects.error} />;
  return (
    <>
      <h1>{text.projects}</h1>
      <Failure error={projects.error} />
      {projects.data.items.length === 0 && <p>{text.noProjects}</p>}
      <ul>
        {projects.data.items.map((it) => (
          <li key={it.key}>
            <Link to={`/projects/${encodeURIComponent(it.key)}`}>{it.name}</Link> {it.description}
          </li>
        ))}
      </ul>
      <form onSubmit={create} aria-label={text.createProject}>
        <Field label={text.key} value={key} onText={setKey} required />
        <Field label={text.name} value={name} onText={setName} required />
        <Failure error={error} />
        <button disabled={busy}>{text.createProject}</button>
      </form>
    </>
  );
}
