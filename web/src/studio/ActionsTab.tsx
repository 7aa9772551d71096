import type { Studio } from "../api/useStudio";
import { text } from "../text/en";
import { ActionForm } from "./ActionForm";

export function ActionsTab({ studio }: { studio: Studio }) {
  if (studio.actions.length === 0) return <p>{text.noActions}</p>;
  if (studio.state !== "RUNNING") return <p>{text.notRunning}</p>;
  return studio.actions.map((it) => <ActionForm key={it.id} studio={studio.id} action={it} />);
}
