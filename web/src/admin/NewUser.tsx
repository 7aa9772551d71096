import { useState, type FormEvent } from "react";
import { api, ask } from "../api/client";
import { useAction } from "../api/useAction";
import { Failure } from "../components/Failure";
import { Field } from "../components/Field";
import { text } from "../text/en";
import { namesIn } from "./names";

const EMPTY = { login: "", name: "", email: "", password: "", groups: "" };

export function NewUser({ onCreated }: { onCreated: () => void }) {
  const [written, setWritten] = useState(EMPTY);
  const { busy, error, run } = useAction();
  const set = (field: keyof typeof EMPTY) => (value: string) =>
    setWritten((known) => ({ ...known, [field]: value }));
  const create = (event: FormEvent) => {
    event.preventDefault();
    const { login, name, email, password } = written;
    const body = { login, name, email, password: password || null, groups: namesIn(written.groups) };
    void run(async () => {
      await ask(api.POST("/users", { body }));
      setWritten(EMPTY);
      onCreated();
    });
  };
  return (
    <form onSubmit={create} aria-label={text.createUser}>
      <Field label={text.login} value={written.login} onText={set("login")} autoComplete="off" required />
      <Field label={text.name} value={written.name} onText={set("name")} required />
      <Field label={text.email} value={written.email} onText={set("email")} type="email" />
      <Field
        label={text.passwordOrNone}
        value={written.password}
        onText={set("password")}
        type="password"
        autoComplete="new-password"
      />
      <Field label={text.groupsOf} value={written.groups} onText={set("groups")} />
      <Failure error={error} />
      <button disabled={busy}>{text.createUser}</button>
    </form>
  );
}
