import { useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { text } from "../text/en";
import { BuildLog } from "./BuildLog";
import { Failure } from "./Failure";

type Props = { template: Schemas["TemplateView"]; onEnd: () => void };

export function TemplateBuild({ template, onEnd }: Props) {
  const [started, setStarted] = useState<string>();
  const { busy, error, run } = useAction();
  const build = started ?? template.latest_build?.id;
  const start = () =>
    run(async () => {
      const params = { path: { id: template.id } };
      setStarted((await ask(api.POST("/templates/{id}/builds", { params, body: {} }))).id);
    });
  const cancel = (id: string) =>
    run(() => ask(api.POST("/builds/{id}/cancel", { params: { path: { id } } })));
  return (
    <>
      <div className="row">
        <button disabled={busy} onClick={start}>
          {text.build}
        </button>
        {build && (
          <button disabled={busy} onClick={() => cancel(build)}>
            {text.cancel}
          </button>
        )}
      </div>
      <Failure error={error} />
      {build && <BuildLog key={build} build={build} onEnd={onEnd} />}
    </>
  );
}
