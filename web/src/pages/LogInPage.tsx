import { useState, type FormEvent } from "react";
import { api, ask } from "../api/client";
import { useAction } from "../api/useAction";
import { Failure } from "../components/Failure";
import { Field } from "../components/Field";
import { text } from "../text/en";

export function LogInPage({ onDone }: { onDone: () => void }) {
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const { busy, error, run } = useAction();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(() => ask(api.POST("/auth/login", { body: { login, password } })).then(onDone));
  };
  return (
    <main>
      <h1>{text.product}</h1>
      <form onSubmit={submit} aria-label={text.logIn}>
        <Field label={text.login} value={login} onText={setLogin} autoComplete="username" required />
        <Field
          label={text.password}
          value={password}
          onText={setPassword}
          type="password"
          autoComplete="current-password"
          required
        />
        <Failure error={error} />
        <button disabled={busy}>{text.logIn}</button>
      </form>
    </main>
  );
}
