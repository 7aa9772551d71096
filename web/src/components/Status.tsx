import { text } from "../text/en";
import { Failure } from "./Failure";

/** What stands where nothing is loaded yet. */
export function Status({ error }: { error?: Error | undefined }) {
  return error ? <Failure error={error} /> : <p role="status">{text.loading}</p>;
}
