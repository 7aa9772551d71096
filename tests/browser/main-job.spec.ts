// What the product is for, as a person does it: open the link, start the sample studio, work in its tools, synchronise, decide a
// conflict, run an action, use a terminal, stop, start again.
import { expect, test, type FrameLocator, type Page } from "@playwright/test";
import { Instance } from "./instance";

let instance: Instance;

test.beforeAll(async () => {
  test.setTimeout(600_000);
  instance = await Instance.start();
  const { items } = await instance.call<{ items: { id: string }[] }>("GET", "/builds");
  const id = items[0]?.id ?? "";
  await expect
    .poll(async () => (await instance.call<{ state: string }>("GET", `/builds/${id}`)).state, {
      timeout: 540_000,
    })
    .toBe("succeeded");
});

test.afterAll(async () => {
  await instance?.stop();
});

const zone = (studio: string) => `/zones/${encodeURIComponent(`studio:${studio}:code_studio-versioned`)}`;

/** Conflicts of the studio's own zone, by the buttons that decide them. */
async function makeConflict(page: Page, studio: string, name: string) {
  const path = encodeURIComponent(name);
  await exec(studio, `echo before > code_studio-versioned/${name}`);
  await synchronise(page);
  await exec(studio, `echo of the studio > code_studio-versioned/${name}`);
  await instance.call("PUT", `${zone(studio)}/content?path=${path}`, "of the server\n");
  await synchronise(page);
  const conflict = page.getByRole("listitem", { name: `code_studio-versioned/${name}` });
  await expect(conflict).toBeVisible();
  return conflict;
}

async function exec(studio: string, line: string): Promise<string> {
  const body = { command: ["bash", "-c", line] };
  const answer = await instance.call<{ exit: { code: number }; stdout: string }>(
    "POST",
    `/studios/${studio}/exec`,
    body,
  );
  expect(answer.exit.code).toBe(0);
  return Buffer.from(answer.stdout, "base64").toString();
}

async function synchronise(page: Page) {
  const button = page.getByRole("button", { name: "Synchronise files" });
  await button.click();
  await expect(button).toBeDisabled();
  await expect(button).toBeEnabled();
}

/** What is run before the kernel is there is not run at all; on a busy machine that may be so although it says that it is idle. */
async function runFirstCell(lab: FrameLocator, result: string) {
  await expect(lab.locator(".jp-Notebook-ExecutionIndicator").first()).toHaveAttribute(
    "data-status",
    "idle",
    { timeout: 60_000 },
  );
  await expect(async () => {
    await lab.locator(".jp-Notebook .jp-CodeCell .cm-content").first().click();
    await lab.locator("body").press("Shift+Enter");
    const output = lab.locator(".jp-OutputArea-output").first();
    await expect(output).toContainText(result, { timeout: 15_000 });
  }).toPass({ timeout: 60_000 });
}

test("the main job", async ({ page }) => {
  await page.goto(instance.link);
  await page.getByRole("link", { name: "Sample project" }).click();
  await page.getByRole("button", { name: "Start my studio" }).click();
  await page.getByRole("link", { name: "my studio" }).click();
  const state = page.locator(".state");
  await expect(state).toHaveText("RUNNING", { timeout: 120_000 });
  const studio = /studios\/([a-z2-7]{8})/.exec(page.url())?.[1] ?? "";

  // JupyterLab in its tab: the starter notebook runs a cell on its kernel over the proxied WebSocket.
  const lab = page.frameLocator('iframe[title="JupyterLab"]');
  await lab.getByText("code_studio-versioned").first().dblclick({ timeout: 60_000 });
  await lab.getByText("welcome.ipynb").first().dblclick();
  await runFirstCell(lab, "5050");
  // Saved in JupyterLab, it is in the zone after a synchronisation, as a commit of its author.
  await lab.locator("body").press("Control+s");
  await expect
    .poll(() => exec(studio, "grep -c 5050 code_studio-versioned/welcome.ipynb || true"))
    .toContain("1");
  await page.getByRole("tab", { name: "Files" }).click();
  await synchronise(page);
  const history = await instance.call<{ items: { author: string; studio: string; message: string }[] }>(
    "GET",
    `${zone(studio)}/history?path=welcome.ipynb`,
  );
  expect(history.items[0]).toMatchObject({ author: "Administrator", studio });
  expect(history.items[0]?.message).toContain("welcome.ipynb");
  expect(await instance.text(`${zone(studio)}/content?path=welcome.ipynb`)).toContain("5050");

  // Streamlit in the other tab.
  await page.getByRole("tab", { name: "View" }).click();
  await page.getByRole("tab", { name: "Streamlit" }).click();
  const app = page.frameLocator('iframe[title="Streamlit"]');
  await expect(app.getByRole("heading").first()).toBeVisible({ timeout: 60_000 });

  // An edit on the server reaches the studio.
  await instance.call("PUT", `${zone(studio)}/content?path=from-server.txt`, "hello from the server\n");
  await page.getByRole("tab", { name: "Files" }).click();
  await synchronise(page);
  expect(await exec(studio, "cat code_studio-versioned/from-server.txt")).toBe("hello from the server\n");

  // A mount that is switched to live needs no asking.
  const live = page.getByRole("checkbox", { name: "Live: synchronise code_studio-versioned" });
  // It shows what the server has.
  await live.click();
  await expect(live).toBeChecked();
  await exec(studio, "echo unasked > code_studio-versioned/live.txt");
  await expect
    .poll(() => instance.text(`${zone(studio)}/content?path=live.txt`).catch(() => ""))
    .toBe("unasked\n");
  await expect(page.getByText("Changes are seen on both sides.").first()).toBeVisible();
  await live.click();
  await expect(live).not.toBeChecked();
  // What a synchronisation deleted comes back from the trash.
  await exec(studio, "rm code_studio-versioned/live.txt");
  await synchronise(page);
  await page.getByLabel("Folder of the studio").selectOption("code_studio-versioned");
  await page.getByText("Trash", { exact: true }).click();
  await page.getByRole("button", { name: "Restore live.txt" }).click();
  await expect(page.getByRole("button", { name: "Restore live.txt" })).toBeHidden();
  await synchronise(page);
  expect(await exec(studio, "cat code_studio-versioned/live.txt")).toBe("unasked\n");

  // A conflict ends each way.
  for (const [button, server, file] of [
    ["Keep the studio's", "of the studio\n", "studio.txt"],
    ["Keep the server's", "of the server\n", "server.txt"],
    ["Keep both", "of the server\n", "both.txt"],
  ] as const) {
    const conflict = await makeConflict(page, studio, file);
    await conflict.getByRole("button", { name: "Compare" }).click();
    await expect(conflict.getByLabel("Difference")).toContainText("+of the studio");
    await conflict.getByRole("button", { name: button }).click();
    await expect(conflict).toBeHidden();
    expect(await instance.text(`${zone(studio)}/content?path=${file}`)).toBe(server);
    expect(await exec(studio, `cat code_studio-versioned/${file}`)).toBe(server);
  }
  const copies = await exec(studio, "cat code_studio-versioned/both.txt.conflict-*");
  expect(copies).toBe("of the studio\n");

  // An action streams its output, and its exit code is exact.
  await page.getByRole("tab", { name: "Actions" }).click();
  const action = page.getByRole("region", { name: "Count lines" });
  await action.getByRole("button", { name: "Run" }).click();
  await expect(action.getByRole("log")).toContainText("app.py");
  await expect(action.getByText("exit code 0")).toBeVisible();

  // A shell that knows its size.
  await page.getByRole("tab", { name: "Terminal" }).click();
  await page.getByRole("button", { name: "New terminal" }).click();
  const terminal = page.getByRole("region", { name: "Terminal" });
  await terminal.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("stty size > size.txt; echo done-$((40+2))\n");
  await expect(terminal.locator(".xterm-rows, .xterm-accessibility").first()).toContainText("done-42");
  const wide = await exec(studio, "cat size.txt");
  await page.setViewportSize({ width: 900, height: 700 });
  await expect(async () => {
    await page.keyboard.type("stty size > size.txt\n");
    expect(await exec(studio, "cat size.txt")).not.toBe(wide);
  }).toPass();

  // Logs.
  await page.getByRole("tab", { name: "Logs" }).click();
  await expect(page.getByRole("log", { name: "Logs" })).toContainText("Jupyter");

  // Stop brings files back; a new start goes on from there.
  await exec(studio, "echo unsynchronised > code_studio-versioned/late.txt");
  await page.getByRole("button", { name: "Stop my studio" }).click();
  await expect(state).toHaveText("STOPPED", { timeout: 60_000 });
  expect(await instance.text(`${zone(studio)}/content?path=late.txt`)).toBe("unsynchronised\n");
  await page.getByRole("button", { name: "Start my studio" }).click();
  await expect(state).toHaveText("RUNNING", { timeout: 120_000 });
  expect(await exec(studio, "cat code_studio-versioned/late.txt")).toBe("unsynchronised\n");
});
