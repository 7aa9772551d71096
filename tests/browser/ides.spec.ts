// Every tool of the catalogue that runs on one machine, through the real proxy: what a person does first in each of them.
import { expect, test, type BrowserContext, type Page } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { Instance } from "./instance";

type Tool = { id: string; url: string | null };
type Studio = { id: string; state: string; failure?: string | null; entrypoints: Tool[] };

let instance: Instance;
let studio: Studio;
/** Somebody who is logged in. */
let somebody: BrowserContext;

const template = {
  label: "Every tool",
  blocks: [
    { type: "code_env", name: "science", packages: ["six==1.17.0"] },
    { type: "jupyterlab" },
    { type: "streamlit" },
    { type: "gradio" },
    { type: "voila" },
    { type: "vscode", settings: { "security.workspace.trust.enabled": false } },
  ],
};

test.beforeAll(async ({ browser }) => {
  // The first time everything is installed from the registries; what was is kept.
  test.setTimeout(1_200_000);
  const kept = process.env["ATELIER_KEPT_PREFIX"];
  if (!kept) throw new Error("ATELIER_KEPT_PREFIX must name a folder: run this suite by make test-browser");
  mkdirSync(kept, { recursive: true });
  instance = await Instance.start(["--no-sample"], kept);
  await instance.call("POST", "/projects", { key: "TOOLS", name: "Tools" });
  const { id } = await instance.call<{ id: string }>("POST", "/templates", { spec: template });
  const build = await instance.call<{ id: string }>("POST", `/templates/${id}/builds`, {});
  await expect
    .poll(async () => (await instance.call<{ state: string }>("GET", `/builds/${build.id}`)).state, {
      timeout: 1_100_000,
    })
    .not.toMatch(/queued|running/);
  const wanted = { name: "all", template: id };
  const made = await instance.call<{ id: string }>("POST", "/projects/TOOLS/studios", wanted);
  await instance.call("POST", `/studios/${made.id}/start`);
  await expect
    .poll(
      async () => {
        studio = await instance.call<Studio>("GET", `/studios/${made.id}`);
        return studio.failure ?? studio.state;
      },
      { timeout: 180_000 },
    )
    .toBe("RUNNING");
  somebody = await browser.newContext();
  const page = await somebody.newPage();
  await page.goto(instance.link);
  await page.close();
});

test.afterAll(async () => {
  await somebody?.close();
  await instance?.stop();
});

async function open(id: string): Promise<Page> {
  const tool = studio.entrypoints.find((it) => it.id === id);
  const page = await somebody.newPage();
  await page.goto(tool?.url ?? "");
  return page;
}

async function exec(line: string): Promise<string> {
  const body = { command: ["bash", "-c", line] };
  const answer = await instance.call<{ stdout: string }>("POST", `/studios/${studio.id}/exec`, body);
  return Buffer.from(answer.stdout, "base64").toString();
}

test("VS Code: edit a file, save it, run it in a terminal", async () => {
  await exec("echo '# mine' >code_studio-versioned/hello.py");
  const page = await open("vscode");
  await expect(page.locator(".monaco-workbench .explorer-viewlet").first()).toBeVisible({ timeout: 60_000 });
  await page.keyboard.press("Control+p");
  await page.keyboard.type("hello.py");
  await expect(page.getByRole("option", { name: /hello\.py/ }).first()).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page.locator(".monaco-editor .view-lines").first()).toContainText("mine");
  await page.locator(".monaco-editor .view-lines").first().click();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("import six, sys; print(6 * 7, 'code_env-science' in sys.prefix)");
  await page.keyboard.press("Control+s");
  await expect.poll(() => exec("cat code_studio-versioned/hello.py")).toContain("6 * 7");
  await page.keyboard.press("Control+`");
  await expect(page.locator(".terminal .xterm-screen, .xterm-screen").first()).toBeVisible();
  await expect(async () => {
    await page.keyboard.type("python code_studio-versioned/hello.py > out.txt\n");
    await expect.poll(() => exec("cat out.txt"), { timeout: 5_000 }).toBe("42 True\n");
  }).toPass({ timeout: 60_000 });
});

test("Streamlit: move the slider", async () => {
  const page = await open("streamlit");
  const slider = page.getByRole("slider").first();
  await slider.focus();
  await slider.press("ArrowRight");
  await expect(page.getByText("11 squared is 121.")).toBeVisible();
});

test("Gradio: ask it for an answer", async () => {
  const page = await open("gradio");
  await page.getByRole("spinbutton").first().fill("7");
  await page.getByRole("button", { name: "Submit" }).click();
  await expect(page.getByLabel("Answer")).toHaveValue("7 squared is 49.");
});

test("Voila: move the slider, and the kernel answers", async () => {
  const page = await open("voila");
  const slider = page.getByRole("slider").first();
  await slider.focus({ timeout: 60_000 });
  await slider.press("ArrowRight");
  await expect(page.getByText("11 squared is 121.")).toBeVisible();
});

test("JupyterLab: run a cell on the environment's kernel", async () => {
  const cell = { cell_type: "code", execution_count: null, metadata: {}, outputs: [], source: "import six; 6 * 7" };
  const kernelspec = { name: "science", display_name: "science", language: "python" };
  const notebook = JSON.stringify({ cells: [cell], metadata: { kernelspec }, nbformat: 4, nbformat_minor: 4 });
  await exec(`printf %s '${notebook}' >code_studio-versioned/cell.ipynb`);
  const page = await open("jupyterlab");
  await page.getByText("code_studio-versioned").first().dblclick({ timeout: 60_000 });
  await page.getByText("cell.ipynb").first().dblclick();
  await expect(page.locator(".jp-Notebook-ExecutionIndicator").first()).toHaveAttribute("data-status", "idle", {
    timeout: 60_000,
  });
  await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first().click();
  await page.locator("body").press("Shift+Enter");
  await expect(page.locator(".jp-OutputArea-output").first()).toContainText("42", { timeout: 60_000 });
});
