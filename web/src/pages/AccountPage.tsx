import type { Schemas } from "../api/client";
import { ApiKeys } from "../components/ApiKeys";
import { PasswordForm } from "../components/PasswordForm";
import { text } from "../text/en";

export function AccountPage({ me }: { me: Schemas["Me"] }) {
  return (
    <>
      <h1>{text.account}</h1>
      <p>{me.login}</p>
      <PasswordForm hasPassword={me.has_password} />
      <ApiKeys />
    </>
  );
}
