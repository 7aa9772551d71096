import { useCallback } from "react";
import { useParams } from "react-router";
import { api, ask } from "../api/client";
import { useLoaded } from "../api/useLoaded";
import { Failure } from "../components/Failure";
import { Status } from "../components/Status";
import { TemplateBuild } from "../components/TemplateBuild";
import { TemplateForm } from "../components/TemplateForm";
import { text } from "../text/en";

export function TemplatePage() {
  const { template: id = "" } = useParams();
  const template = useLoaded(
    useCallback(() => ask(api.GET("/templates/{id}", { params: { path: { id } } })), [id]),
  );
  const blocks = useLoaded(useCallback(() => ask(api.GET("/blocks")), []));
  if (template.data === undefined || blocks.data === undefined) {
    return <Status error={template.error ?? blocks.error} />;
  }
  return (
    <>
      <h1>{template.data.label}</h1>
      <p>
        {text.version}: {template.data.version}. {text.image}:{" "}
        {template.data.image_ready ? text.ready : text.notBuilt}
      </p>
      <Failure error={template.error} />
      <TemplateForm key={id} template={template.data} kinds={blocks.data.items} onSaved={template.reload} />
      <TemplateBuild template={template.data} onEnd={template.reload} />
    </>
  );
}
