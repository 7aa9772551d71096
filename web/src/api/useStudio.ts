import { useEffect, useState } from "react";
import type { Schemas } from "./client";
import { follow } from "./events";

export type Studio = Schemas["StudioView"];

/** A studio as it is now, told by the server at every change. */
export function useStudio(id: string): { studio?: Studio; error?: Error; broken: boolean } {
  const [studio, setStudio] = useState<Studio>();
  const [error, setError] = useState<Error>();
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    const take = (name: string, data: unknown) => {
      if (name === "studio") setStudio(data as Studio);
      else setError(new Error((data as Schemas["ProblemDetails"]).detail));
    };
    return follow(`/api/v1/studios/${encodeURIComponent(id)}/events`, ["studio", "error"], take, setBroken);
  }, [id]);
  return { ...(studio && { studio }), ...(error && { error }), broken };
}
