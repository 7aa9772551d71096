import type { Studio } from "../api/useStudio";
import { useMounts } from "../api/useMounts";
import { Failure } from "../components/Failure";
import { text } from "../text/en";
import { MountItem } from "./MountItem";

/** The studio's mounts: how they are set, whether changes are seen, what moves, what was done. */
export function MountList({ studio }: { studio: Studio }) {
  const { mounts, error } = useMounts(studio.id);
  if (mounts.length === 0) return <Failure error={error} />;
  return (
    <section aria-label={text.mounts}>
      <h3>{text.mounts}</h3>
      <Failure error={error} />
      <ul className="plain">
        {mounts.map((it) => (
          <MountItem key={it.id} studio={studio.id} mount={it} />
        ))}
      </ul>
    </section>
  );
}
