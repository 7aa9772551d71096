import { ApiError } from "../api/client";

/** Why something failed, in the server's words, read out at once. */
export function Failure({ error }: { error?: Error | undefined }) {
  if (error === undefined) return null;
  const problems = error instanceof ApiError ? error.problems : [];
  return (
    <div role="alert" className="failure">
      <p>{error.message}</p>
      {problems.length > 0 && (
        <ul>
          {problems.map((it, index) => (
            <li key={index}>
              {[it.block == null ? "" : `#${it.block + 1}`, it.field].filter(Boolean).join(" ")}: {it.reason}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
