import { useState, type FormEvent } from "react";
import { api, ask } from "../api/client";
import { useAction } from "../api/useAction";
import { text } from "../text/en";
import { Failure } from "./Failure";
import { Field } from "./Field";

export function PasswordForm({ hasPassword }: { hasPassword: boolean }) {
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const [done, setDone] = useState(false);
  const { busy, error, run } = useAction();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setDone(false);
    void run(() => ask(api.POST("/auth/password", { body: { old, new: next } })).then(() => setDone(true)));
  };
  return (
    <form onSubmit={submit} aria-label={text.changePassword}>
      {hasPassword && (
        <Field
          label={text.oldPassword}
          type="password"
          autoComplete="current-password"
          value={old}
          onText={setOld}
          required
        />
      )}
      <Field
        label={text.newPassword}
        type="password"
        autoComplete="new-password"
        value={next}
        onText={setNext}
        required
      />
      <Failure error={error} />
      <p role="status">{done && text.passwordChanged}</p>
      <button disabled={busy}>{text.changePassword}</button>
    </form>
  );
}
