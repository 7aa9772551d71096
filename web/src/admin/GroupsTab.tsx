import { useCallback, useState, type FormEvent } from "react";
import { api, ask, type Schemas } from "../api/client";
import { usePages } from "../api/pages";
import { useAction } from "../api/useAction";
import { Failure } from "../components/Failure";
import { Field } from "../components/Field";
import { More } from "../components/More";
import { text } from "../text/en";
import { namesIn } from "./names";

const nameOf = (it: Schemas["GroupView"]) => it.name;

/** Groups and who is in them; projects give rights to groups. */
export function GroupsTab() {
  const load = useCallback(
    (after?: string) => ask(api.GET("/groups", { params: { query: after === undefined ? {} : { after } } })),
    [],
  );
  const groups = usePages(load, nameOf);
  return (
    <>
      <Failure error={groups.error} />
      {groups.items?.length === 0 && <p>{text.noGroups}</p>}
      {groups.items?.map((it) => (
        <GroupForm key={it.name} group={it} onChange={groups.reload} />
      ))}
      <More more={groups.more} />
      <NewGroup onCreated={groups.reload} />
    </>
  );
}

function GroupForm({ group, onChange }: { group: Schemas["GroupView"]; onChange: () => void }) {
  const [members, setMembers] = useState((group.members ?? []).join(", "));
  const { busy, error, run } = useAction();
  const params = { path: { name: group.name } };
  const save = (event: FormEvent) => {
    event.preventDefault();
    const body = { members: namesIn(members) };
    void run(() => ask(api.PUT("/groups/{name}", { params, body })).then(onChange));
  };
  const remove = () => {
    if (!confirm(text.removeGroup(group.name))) return;
    void run(() => ask(api.DELETE("/groups/{name}", { params })).then(onChange));
  };
  return (
    <form onSubmit={save} aria-label={group.name}>
      <Field label={text.membersOf(group.name)} value={members} onText={setMembers} />
      <Failure error={error} />
      <div className="row">
        <button disabled={busy}>{text.save}</button>
        <button type="button" disabled={busy} onClick={remove} aria-label={`${text.remove} ${group.name}`}>
          {text.remove}
        </button>
      </div>
    </form>
  );
}

function NewGroup({ onCreated }: { onCreated: () => void }) {
  const [name, setName] = useState("");
  const [members, setMembers] = useState("");
  const { busy, error, run } = useAction();
  const create = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await ask(api.POST("/groups", { body: { name, members: namesIn(members) } }));
      setName("");
      setMembers("");
      onCreated();
    });
  };
  return (
    <form onSubmit={create} aria-label={text.createGroup}>
      <Field label={text.name} value={name} onText={setName} required />
      <Field label={text.members} value={members} onText={setMembers} />
      <Failure error={error} />
      <button disabled={busy}>{text.createGroup}</button>
    </form>
  );
}
