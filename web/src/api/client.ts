// The one way to the REST API: typed by its OpenAPI document, and failures are exceptions with the server's words.
import createClient from "openapi-fetch";
import { text } from "../text/en";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly problems: Schemas["Problem"][] = [],
  ) {
    super(message);
  }
}

export const api = createClient<paths>({ baseUrl: "/api/v1" });

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** What the call answers; a problem of the server becomes an `ApiError`. */
export async function ask<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw problem(response.status, error);
  return data as T;
}

export function problem(status: number, body: unknown): ApiError {
  const details =
    typeof body === "object" && body !== null ? (body as Partial<Schemas["ProblemDetails"]>) : {};
  return new ApiError(status, details.detail || details.title || text.failed(status), details.problems ?? []);
}
