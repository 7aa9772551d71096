import { useSearchParams } from "react-router";
import { AuditTab } from "../admin/AuditTab";
import { GroupsTab } from "../admin/GroupsTab";
import { UsersTab } from "../admin/UsersTab";
import { Tabs } from "../components/Tabs";
import { text } from "../text/en";

/** For administrators; the server decides who is one. */
export function AdminPage({ me }: { me: string }) {
  const [search, setSearch] = useSearchParams();
  const tabs = [
    { key: "users", label: text.users, content: () => <UsersTab me={me} /> },
    { key: "groups", label: text.groups, content: () => <GroupsTab /> },
    { key: "audit", label: text.audit, content: () => <AuditTab /> },
  ];
  return (
    <>
      <h1>{text.administration}</h1>
      <Tabs
        label={text.administration}
        tabs={tabs}
        shown={search.get("tab") ?? "users"}
        onShow={(tab) => setSearch({ tab }, { replace: true })}
      />
    </>
  );
}
