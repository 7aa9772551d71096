import { useCallback } from "react";
import { api, ask, type Schemas } from "../api/client";
import { usePages } from "../api/pages";
import { Failure } from "../components/Failure";
import { More } from "../components/More";
import { text } from "../text/en";
import { NewUser } from "./NewUser";
import { UserRow } from "./UserRow";

const loginOf = (it: Schemas["UserView"]) => it.login;

/** Who may log in, and who is an administrator. */
export function UsersTab({ me }: { me: string }) {
  const load = useCallback(
    (after?: string) => ask(api.GET("/users", { params: { query: after === undefined ? {} : { after } } })),
    [],
  );
  const users = usePages(load, loginOf);
  return (
    <>
      <Failure error={users.error} />
      <table aria-label={text.users}>
        <thead>
          <tr>
            {[text.login, text.name, text.email, text.administrator].map((it) => (
              <th key={it} scope="col">
                {it}
              </th>
            ))}
            <td />
          </tr>
        </thead>
        <tbody>
          {users.items?.map((it) => (
            <UserRow key={it.login} user={it} isMe={it.login === me} onChange={users.reload} />
          ))}
        </tbody>
      </table>
      <More more={users.more} />
      <NewUser onCreated={users.reload} />
    </>
  );
}
