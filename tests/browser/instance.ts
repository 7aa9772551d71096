// An instance of its own for a suite: the real program, the real agent, a folder that is removed again.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_MS = 60_000;

function needed(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must name the program: run this suite by make test-browser`);
  return value;
}

export class Instance {
  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    /** Logs the administrator in, once. */
    readonly link: string,
    readonly url: string,
    private readonly key: string,
  ) {}

  /** With the sample project, unless `more` says otherwise; what it builds is kept below `prefix`, where that is given. */
  static async start(more: string[] = [], prefix?: string): Promise<Instance> {
    const folder = mkdtempSync(join(tmpdir(), "atelier-browser-"));
    if (prefix) {
      mkdirSync(join(folder, "data"), { mode: 0o700 });
      symlinkSync(prefix, join(folder, "data", "prefix"));
    }
    const ready = join(folder, "ready.json");
    const args = ["up", "--data", join(folder, "data"), "--listen", "127.0.0.1:0", "--ready-file", ready, ...more];
    const child = spawn(needed("ATELIER_BINARY"), [...args, "--agent-binary", needed("ATELIER_AGENT_BINARY")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout?.on("data", (piece: Buffer) => (said += piece.toString()));
    const deadline = Date.now() + START_MS;
    while (!existsSync(ready)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`it did not start: ${said}`);
      await new Promise((done) => setTimeout(done, 50));
    }
    const { url, api_key } = JSON.parse(readFileSync(ready, "utf8")) as { url: string; api_key: string };
    const link = /http\S+\/login\/link\/\S+/.exec(said)?.[0];
    if (!link) throw new Error(`no link in: ${said}`);
    return new Instance(folder, child, link, url, api_key);
  }

  /** A call of the API as the administrator. */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const raw = typeof body === "string";
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.key}`,
        ...(raw ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  async text(path: string): Promise<string> {
    const headers = { Authorization: `Bearer ${this.key}` };
    const answer = await fetch(`${this.url}/api/v1${path}`, { headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.text();
  }

  async stop(): Promise<void> {
    // Studios go on without the server: they are ended first.
    const { items } = await this.call<{ items: { id: string }[] }>("GET", "/studios");
    for (const { id } of items) {
      const { id: task } = await this.call<{ id: string }>("POST", `/studios/${id}/stop`);
      await this.call("GET", `/tasks/${task}?wait=60`);
    }
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
