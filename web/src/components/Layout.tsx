import type { ReactNode } from "react";
import { NavLink } from "react-router";
import { api, ask, type Schemas } from "../api/client";
import { useAction } from "../api/useAction";
import { text } from "../text/en";
import { Failure } from "./Failure";

export function Layout({ me, children }: { me: Schemas["Me"]; children: ReactNode }) {
  const { busy, error, run } = useAction();
  const logOut = () => run(() => ask(api.POST("/auth/logout")).then(() => location.assign("/")));
  return (
    <>
      <a className="skip" href="#content">
        {text.skip}
      </a>
      <header>
        <nav aria-label={text.main}>
          <strong>{text.product}</strong>
          <NavLink to="/">{text.projects}</NavLink>
          <NavLink to="/templates">{text.templates}</NavLink>
          {me.admin && <NavLink to="/administration">{text.administration}</NavLink>}
          <NavLink to="/account">{me.name || me.login}</NavLink>
          <button disabled={busy} onClick={logOut}>
            {text.logOut}
          </button>
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        <Failure error={error} />
        {children}
      </main>
    </>
  );
}
