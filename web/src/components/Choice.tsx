import { useId } from "react";

type Props = {
  label: string;
  value: string;
  choices: [value: string, label: string][];
  onChoice: (value: string) => void;
};

export function Choice({ label, value, choices, onChoice }: Props) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChoice(event.target.value)}>
        {choices.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}
