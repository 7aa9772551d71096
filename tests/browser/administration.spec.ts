// What an administrator does for others: users, groups, keys for services, and what is told of it.
import { expect, test } from "@playwright/test";
import { Instance } from "./instance";

let instance: Instance;

test.beforeAll(async () => {
  instance = await Instance.start(["--no-sample"]);
});

test.afterAll(async () => {
  await instance?.stop();
});

test("an administrator looks after users and groups", async ({ page, browser }) => {
  await page.goto(instance.link);
  await page.getByRole("link", { name: "Administration" }).click();

  const create = page.getByRole("form", { name: "Create user" });
  await create.getByLabel("Login").fill("ada");
  await create.getByLabel("Name").fill("Ada");
  await create.getByLabel("Password").fill("short");
  await create.getByRole("button", { name: "Create user" }).click();
  await expect(create.getByRole("alert")).toBeVisible();
  await create.getByLabel("Password").fill("long enough for this");
  await create.getByRole("button", { name: "Create user" }).click();
  const users = page.getByRole("table", { name: "Users" });
  await expect(users.getByRole("row", { name: "ada" })).toBeVisible();

  // Nobody takes their own rights, or themselves, away by a slip.
  await expect(page.getByRole("checkbox", { name: "admin is an administrator" })).toBeDisabled();
  await expect(page.getByRole("button", { name: "Delete admin" })).toBeDisabled();

  // A key for somebody else works as theirs.
  await page.getByRole("button", { name: "Edit ada" }).click();
  const key = page.getByRole("region", { name: "API key for ada" });
  await key.getByLabel("Label").fill("robot");
  await key.getByRole("button", { name: "Create key" }).click();
  const secret = await key.getByRole("status").locator("code").innerText();
  const me = await fetch(`${instance.url}/api/v1/auth/me`, { headers: { Authorization: `Bearer ${secret}` } });
  expect(await me.json()).toMatchObject({ login: "ada", admin: false });

  await page.getByRole("tab", { name: "Groups" }).click();
  const group = page.getByRole("form", { name: "Create group" });
  await group.getByLabel("Name").fill("analysts");
  await group.getByLabel("Members").fill("ada, admin");
  await group.getByRole("button", { name: "Create group" }).click();
  await expect(page.getByLabel("Members of analysts")).toHaveValue("ada, admin");
  await page.getByLabel("Members of analysts").fill("ada");
  const analysts = page.getByRole("form", { name: "analysts" });
  await analysts.getByRole("button", { name: "Save" }).click();
  await expect
    .poll(() => instance.call("GET", "/groups/analysts"))
    .toEqual({ name: "analysts", members: ["ada"] });

  await page.getByRole("tab", { name: "Audit log" }).click();
  const audit = page.getByRole("table", { name: "Audit log" });
  await expect(audit.getByRole("row").filter({ hasText: "robot" })).toBeVisible();

  // She logs in by her password, and sees nothing of administration.
  const context = await browser.newContext();
  const hers = await context.newPage();
  await hers.goto(new URL("/administration", page.url()).href);
  await hers.getByLabel("Login").fill("ada");
  await hers.getByLabel("Password").fill("long enough for this");
  await hers.getByRole("button", { name: "Log in" }).click();
  await expect(hers.getByText("There is no such page.")).toBeVisible();
  await expect(hers.getByRole("link", { name: "Administration" })).toHaveCount(0);
  await context.close();

  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("tab", { name: "Users" }).click();
  await page.getByRole("button", { name: "Delete ada" }).click();
  await expect(users.getByRole("cell", { name: "ada", exact: true })).toHaveCount(0);
});
