import { useId, useState, type KeyboardEvent, type ReactNode } from "react";

export type Tab = { key: string; label: string; content: () => ReactNode };

type Props = { label: string; tabs: Tab[]; shown: string; onShow: (key: string) => void };

/** One of several contents. What was shown once stays as it is while another one is shown. */
export function Tabs({ label, tabs, shown, onShow }: Props) {
  const id = useId();
  const [visited, setVisited] = useState<string[]>([]);
  if (!visited.includes(shown)) setVisited([...visited, shown]);
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tabs.findIndex((it) => it.key === shown);
    const next = step === undefined ? undefined : tabs.at((at + step) % tabs.length);
    if (next === undefined) return;
    onShow(next.key);
    document.getElementById(`${id}-${next.key}`)?.focus();
  };
  return (
    <div className="tabs">
      <div role="tablist" aria-label={label} tabIndex={-1} onKeyDown={onKey}>
        {tabs.map((it) => (
          <button
            key={it.key}
            id={`${id}-${it.key}`}
            role="tab"
            aria-selected={it.key === shown}
            aria-controls={`${id}-${it.key}-panel`}
            tabIndex={it.key === shown ? 0 : -1}
            onClick={() => onShow(it.key)}
          >
            {it.label}
          </button>
        ))}
      </div>
      {tabs.map((it) => (
        <div
          key={it.key}
          id={`${id}-${it.key}-panel`}
          role="tabpanel"
          aria-labelledby={`${id}-${it.key}`}
          hidden={it.key !== shown}
        >
          {visited.includes(it.key) && it.content()}
        </div>
      ))}
    </div>
  );
}
