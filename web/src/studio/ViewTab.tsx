import { useState } from "react";
import type { Studio } from "../api/useStudio";
import { Tabs } from "../components/Tabs";
import { text } from "../text/en";

/** A tab for each tool; an application is on an origin of its own, which logs its user in by itself. */
export function ViewTab({ studio }: { studio: Studio }) {
  const tools = studio.entrypoints.filter((it) => it.exposed && it.url);
  const [chosen, setChosen] = useState<string>();
  if (studio.state !== "RUNNING" && studio.state !== "STARTING") return <p>{text.notRunning}</p>;
  const first = tools[0];
  if (first === undefined) return <p>{text.noTools}</p>;
  const shown = tools.some((it) => it.id === chosen) ? (chosen ?? first.id) : first.id;
  const tabs = tools.map((it) => ({
    key: it.id,
    label: it.label,
    content: () => (
      <>
        <p className="row">
          <span role="status">
            {it.readiness}
            {it.reason && `: ${it.reason}`}
          </span>
          <a href={it.url ?? ""} target="_blank" rel="noreferrer">
            {text.openInTab(it.label)}
          </a>
        </p>
        <iframe
          key={studio.started_at}
          title={it.label}
          src={it.url ?? ""}
          allow="clipboard-read; clipboard-write; fullscreen"
        />
      </>
    ),
  }));
  return <Tabs label={text.tools} tabs={tabs} shown={shown} onShow={setChosen} />;
}
