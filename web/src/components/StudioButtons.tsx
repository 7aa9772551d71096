import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { text } from "../text/en";
import { Failure } from "./Failure";

type Props = { studio: Schemas["StudioView"]; onChange: () => void; onDeleted: () => void };

/** Start, stop and delete; what can't be done now is disabled. */
export function StudioButtons({ studio, onChange, onDeleted }: Props) {
  const { busy, error, run } = useAction();
  const params = { params: { path: { id: studio.id } } };
  const stopped = studio.state === "STOPPED";
  const remove = () => {
    if (!confirm(text.removeStudio(studio.name))) return;
    void run(() => ask(api.DELETE("/studios/{id}", params)).then(onDeleted));
  };
  return (
    <div className="row">
      <button
        disabled={busy || !stopped}
        onClick={() => run(() => ask(api.POST("/studios/{id}/start", params)).then(onChange))}
        aria-label={`${text.start} ${studio.name}`}
      >
        {text.start}
      </button>
      <button
        disabled={busy || stopped || studio.state === "STOPPING"}
        onClick={() => run(() => ask(api.POST("/studios/{id}/stop", params)).then(onChange))}
        aria-label={`${text.stop} ${studio.name}`}
      >
        {text.stop}
      </button>
      {studio.restart_to_update && (
        <button
          disabled={busy || studio.state !== "RUNNING"}
          onClick={() => run(() => ask(api.POST("/studios/{id}/restart", params)).then(onChange))}
          aria-label={`${text.restart} ${studio.name}`}
        >
          {text.restart}
        </button>
      )}
      <button disabled={busy || !stopped} onClick={remove} aria-label={`${text.remove} ${studio.name}`}>
        {text.remove}
      </button>
      <Failure error={error} />
    </div>
  );
}
