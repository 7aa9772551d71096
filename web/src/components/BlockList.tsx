import { useState } from "react";
import type { Schemas } from "../api/client";
import { fieldsOf, moved, withField, type Block } from "../api/fields";
import { text } from "../text/en";
import { BlockField } from "./BlockField";
import { Choice } from "./Choice";

/** A block with a key that stays with it when it moves. */
export type KeyedBlock = { key: number; block: Block };
type Props = {
  kinds: Schemas["BlockView"][];
  blocks: KeyedBlock[];
  onBlocks: (blocks: KeyedBlock[]) => void;
};

export function BlockList({ kinds, blocks, onBlocks }: Props) {
  const [type, setType] = useState(kinds[0]?.type ?? "");
  const add = () => {
    const example = (kinds.find((it) => it.type === type)?.example ?? {}) as object;
    const key = 1 + Math.max(0, ...blocks.map((it) => it.key));
    onBlocks([...blocks, { key, block: { ...example, type } }]);
  };
  return (
    <section aria-label={text.blocks}>
      <h2>{text.blocks}</h2>
      {blocks.map(({ key, block }, place) => {
        const kind = kinds.find((it) => it.type === block.type);
        const set = (name: string, value: unknown) =>
          onBlocks(blocks.with(place, { key, block: withField(block, name, value) }));
        return (
          <fieldset key={key}>
            <legend>{text.block(place + 1, kind?.title ?? block.type)}</legend>
            <div className="row">
              <button
                type="button"
                disabled={place === 0}
                onClick={() => onBlocks(moved(blocks, place, place - 1))}
              >
                {text.up}
              </button>
              <button
                type="button"
                disabled={place === blocks.length - 1}
                onClick={() => onBlocks(moved(blocks, place, place + 1))}
              >
                {text.down}
              </button>
              <button type="button" onClick={() => onBlocks(blocks.toSpliced(place, 1))}>
                {text.removeBlock}
              </button>
            </div>
            {fieldsOf(kind?.schema).map((it) => (
              <BlockField
                key={it.name}
                field={it}
                value={block[it.name]}
                onValue={(value) => set(it.name, value)}
              />
            ))}
          </fieldset>
        );
      })}
      <Choice
        label={text.blockType}
        value={type}
        choices={kinds.map((it) => [it.type, it.title])}
        onChoice={setType}
      />
      <button type="button" onClick={add}>
        {text.addBlock}
      </button>
    </section>
  );
}
