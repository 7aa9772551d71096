import { useState } from "react";
import type { Studio } from "../api/useStudio";
import { Choice } from "../components/Choice";
import { text } from "../text/en";
import { MountList } from "./MountList";
import { SyncPanel } from "./SyncPanel";
import { ZoneBrowser } from "./ZoneBrowser";

/** The studio's files on the server: synchronise them, decide conflicts, look at them and at their history. */
export function FilesTab({ studio }: { studio: Studio }) {
  const [chosen, setChosen] = useState(studio.mounts[0]?.id ?? "");
  const [turn, setTurn] = useState(0);
  const mount = studio.mounts.find((it) => it.id === chosen) ?? studio.mounts[0];
  return (
    <>
      <SyncPanel studio={studio} onDone={() => setTurn((n) => n + 1)} />
      <MountList studio={studio} />
      {mount && (
        <>
          <Choice
            label={text.zone}
            value={mount.id}
            choices={studio.mounts.map((it) => [it.id, it.target])}
            onChoice={setChosen}
          />
          <ZoneBrowser key={`${mount.zone} ${turn}`} zone={mount.zone} />
        </>
      )}
    </>
  );
}
