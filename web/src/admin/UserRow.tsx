import { useState, type FormEvent } from "react";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { Failure } from "../components/Failure";
import { Field } from "../components/Field";
import { NewApiKey } from "../components/NewApiKey";
import { text } from "../text/en";

type Props = { user: Schemas["UserView"]; isMe: boolean; onChange: () => void };

/** A user, and below it what an administrator may change of them. Nobody locks themselves out here. */
export function UserRow({ user, isMe, onChange }: Props) {
  const [open, setOpen] = useState(false);
  const { busy, error, run } = useAction();
  const params = { path: { login: user.login } };
  const setAdmin = (admin: boolean) =>
    run(() => ask(api.PATCH("/users/{login}", { params, body: { admin } })).then(onChange));
  const remove = () => {
    if (!confirm(text.removeUser(user.login))) return;
    void run(() => ask(api.DELETE("/users/{login}", { params })).then(onChange));
  };
  return (
    <>
      <tr>
        <td>{user.login}</td>
        <td>{user.name}</td>
        <td>{user.email}</td>
        <td>
          <input
            type="checkbox"
            aria-label={text.isAdministrator(user.login)}
            checked={user.admin}
            disabled={busy || isMe}
            onChange={(event) => setAdmin(event.target.checked)}
          />
        </td>
        <td>
          <button aria-expanded={open} onClick={() => setOpen(!open)}>
            {text.editOf(user.login)}
          </button>
          <button disabled={busy || isMe} onClick={remove} aria-label={`${text.remove} ${user.login}`}>
            {text.remove}
          </button>
          <Failure error={error} />
        </td>
      </tr>
      {open && (
        <tr>
          <td colSpan={5}>
            <UserForm user={user} onChange={onChange} />
            {!isMe && (
              <section aria-label={text.keyFor(user.login)}>
                <h3>{text.keyFor(user.login)}</h3>
                <NewApiKey login={user.login} />
              </section>
            )}
          </td>
        </tr>
      )}
    </>
  );
}

function UserForm({ user, onChange }: { user: Schemas["UserView"]; onChange: () => void }) {
  const [name, setName] = useState(user.name);
  const [email, setEmail] = useState(user.email);
  const [password, setPassword] = useState("");
  const { busy, error, run } = useAction();
  const save = (event: FormEvent) => {
    event.preventDefault();
    const body = { name, email, ...(password === "" ? {} : { password }) };
    void run(async () => {
      await ask(api.PATCH("/users/{login}", { params: { path: { login: user.login } }, body }));
      setPassword("");
      onChange();
    });
  };
  return (
    <form onSubmit={save} aria-label={text.editOf(user.login)}>
      <Field label={text.name} value={name} onText={setName} required />
      <Field label={text.email} value={email} onText={setEmail} type="email" />
      <Field
        label={text.newPasswordOrNone}
        value={password}
        onText={setPassword}
        type="password"
        autoComplete="new-password"
      />
      <Failure error={error} />
      <button disabled={busy}>{text.save}</button>
    </form>
  );
}
