import { useEffect, useState } from "react";
import type { Schemas } from "./client";
import { follow } from "./events";

export type Mount = Schemas["MountState"];

/** A studio's mounts as they are now, told by the server at every change and while files move. */
export function useMounts(studio: string): { mounts: Mount[]; error?: Error } {
  const [mounts, setMounts] = useState<Mount[]>([]);
  const [error, setError] = useState<Error>();
  useEffect(() => {
    const take = (name: string, data: unknown) => {
      if (name === "mounts") setMounts((data as { items: Mount[] }).items);
      else setError(new Error((data as Schemas["ProblemDetails"]).detail));
    };
    // A connection that breaks is told of for the whole page.
    const ignore = () => undefined;
    return follow(
      `/api/v1/studios/${encodeURIComponent(studio)}/mounts/events`,
      ["mounts", "error"],
      take,
      ignore,
    );
  }, [studio]);
  return { mounts, ...(error && { error }) };
}
