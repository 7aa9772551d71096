// Prepares code-server's folders, and becomes code-server.
//
// Settings lie in the user's own zone, all else below HOME. Code environments of the template are interpreters and debug
// configurations: as settings of the machine, so that the user's own stay as they are.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const prefix = process.env.ATELIER_PREFIX;
const workspace = process.env.ATELIER_WORKSPACE;
const data = path.join(process.env.HOME, ".local/share/code-server");
const extensions = path.join(data, "extensions");

function folders(folder) {
  return fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [];
}

/** Puts a link at `from`, unless it is there; what a user has put there stays. */
function link(from, to) {
  try {
    fs.symlinkSync(to, from);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    if (fs.lstatSync(from).isSymbolicLink() && fs.readlinkSync(from) !== to) {
      fs.unlinkSync(from);
      fs.symlinkSync(to, from);
    }
  }
}

function userSettings() {
  const kept = path.join(workspace, "user-versioned/vscode");
  fs.mkdirSync(path.join(kept, "snippets"), { recursive: true });
  fs.mkdirSync(path.join(data, "User"), { recursive: true });
  for (const [name, empty] of [["settings.json", "{}\n"], ["keybindings.json", "[]\n"]]) {
    const file = path.join(kept, name);
    if (!fs.existsSync(file)) fs.writeFileSync(file, empty);
    link(path.join(data, "User", name), file);
  }
  link(path.join(data, "User/snippets"), path.join(kept, "snippets"));
}

function machineSettings() {
  const listed = path.join(prefix, "share/atelier/interpreters");
  const interpreters = folders(listed).map((name) => {
    const { display_name, folder } = JSON.parse(fs.readFileSync(path.join(listed, name), "utf8"));
    return { name: display_name, python: path.join(prefix, folder, "bin/python") };
  });
  const settings = {
    "extensions.autoCheckUpdates": false,
    "extensions.autoUpdate": false,
    "telemetry.telemetryLevel": "off",
    "workbench.startupEditor": "none",
  };
  if (interpreters.length > 0) {
    settings["python.defaultInterpreterPath"] = interpreters[0].python;
    settings["python.venvPath"] = prefix;
    settings["launch"] = {
      version: "0.2.0",
      configurations: interpreters.map(({ name, python }) => ({
        name: `Python: this file in ${name}`,
        type: "debugpy",
        request: "launch",
        program: "${file}",
        console: "integratedTerminal",
        python,
      })),
    };
  }
  fs.mkdirSync(path.join(data, "Machine"), { recursive: true });
  fs.writeFileSync(path.join(data, "Machine/settings.json"), JSON.stringify(settings, null, 2));
}

/** Those of the template, beside those that the user adds. */
function ownExtensions() {
  fs.mkdirSync(extensions, { recursive: true });
  const shared = path.join(prefix, "vscode-extensions");
  for (const name of folders(shared)) link(path.join(extensions, name), path.join(shared, name));
}

// It would ask a login shell for variables, which begins anew and knows nothing of the template's tools.
process.env.VSCODE_CLI = "1";
userSettings();
machineSettings();
ownExtensions();
const entry = path.join(prefix, "vscode/lib/node_modules/code-server/out/node/entry.js");
process.argv = [process.argv[0], entry, "--user-data-dir", data, "--extensions-dir", extensions, ...process.argv.slice(2)];
require(entry);
