import { text } from "../text/en";

/** The way to the next page, where there is one. */
export function More({ more }: { more: (() => void) | undefined }) {
  return more ? <button onClick={more}>{text.more}</button> : null;
}
