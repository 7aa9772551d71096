//! `nginx`: static HTTP access to folders of mounted zones, and other servers of the studio under the same port.
//!
//! nginx itself comes with the base image, or with the machine.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::{Composition, DEFAULT_ZONES},
    launch::{Entrypoint, Readiness, Restart},
    plan::{FileContent, FileEntry},
};

const NAME: &str = "nginx";
const START_PATH: &str = "share/atelier/nginx-start.sh";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nginx {
    #[serde(default)]
    folders: Vec<Folder>,
    #[serde(default)]
    upstreams: Vec<Upstream>,
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024))]
    port: u16,
    #[serde(default)]
    launch_for_web_apps: bool,
}

/// Part of a zone that is served, with a list of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Folder {
    zone: String,
    /// Folder of the zone; empty: all of it.
    #[serde(default, rename = "folder")]
    below: String,
    /// Where it is seen: `/`, or a path that begins and ends with /.
    path: String,
}

/// A server of the studio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upstream {
    port: u16,
    /// As of a folder; it is taken away before the server is asked.
    path: String,
}

const fn default_port() -> u16 {
    8090
}

impl BlockRules for Nginx {
    fn apply(&self, at: &mut Composition<'_>) {
        check::port(at, "port", self.port);
        self.check(at);
        at.files(
            NAME,
            vec![FileEntry {
                path: START_PATH.into(),
                content: FileContent(self.start().into_bytes().into()),
                executable: false,
            }],
        );
        at.launch.entrypoints.push(Entrypoint {
            id: NAME.into(),
            label: "Files by HTTP".into(),
            command: vec!["/bin/sh".into(), format!("${{ATELIER_PREFIX}}/{START_PATH}")],
            working_folder: String::new(),
            env: [].into(),
            port: Some(self.port),
            exposed: true,
            launch_for_web_apps: self.launch_for_web_apps,
            proxied_subpath: "/".into(),
            landing: String::new(),
            readiness: Readiness::Tcp,
            restart: Restart::Always,
            inject: None,
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![
            ("port", self.port.to_string()),
            ("type", NAME.into()),
            ("label", "files-by-http".into()),
        ]
    }
}

impl Nginx {
    fn check(&self, at: &mut Composition<'_>) {
        let mut seen = Vec::new();
        for (place, folder) in self.folders.iter().enumerate() {
            let field = format!("folders[{place}]");
            if !DEFAULT_ZONES.contains(&folder.zone.as_str()) {
                at.problem(format!("{field}.zone"), format!("one of {}", DEFAULT_ZONES.join(", ")));
            }
            check::relative_path(at, &format!("{field}.folder"), &folder.below, true);
            // It becomes part of a configuration and of a shell's text.
            if !folder.below.chars().all(|c| c.is_alphanumeric() || " ./_-".contains(c)) {
                at.problem(
                    format!("{field}.folder"),
                    "letters, digits, blanks, '.', '_', '-' and '/' alone",
                );
            }
            path(at, format!("{field}.path"), &folder.path, &mut seen);
        }
        for (place, upstream) in self.upstreams.iter().enumerate() {
            let field = format!("upstreams[{place}]");
            if upstream.port == self.port || upstream.port == 0 {
                at.problem(format!("{field}.port"), "the port of another server of the studio");
            }
            path(at, format!("{field}.path"), &upstream.path, &mut seen);
        }
        if seen.is_empty() {
            at.problem("folders", "at least one folder or upstream");
        }
    }

    /// Writes its configuration, with the studio's addresses and folders in it, and becomes nginx.
    fn start(&self) -> String {
        let mut text = format!(
            r#"set -eu
own="$HOME/.nginx"
mkdir -p "$own"
case $ATELIER_LISTEN_ADDRESS in *:*) address="[$ATELIER_LISTEN_ADDRESS]" ;; *) address=$ATELIER_LISTEN_ADDRESS ;; esac
case $address in 0.0.0.0) near=127.0.0.1 ;; "[::]") near="[::1]" ;; *) near=$address ;; esac
types=/etc/nginx/mime.types
[ -r "$types" ] && include="include $types;" || include=
cat >"$own/nginx.conf" <<END
worker_processes 1;
pid "$own/pid";
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    $include
    default_type application/octet-stream;
    charset utf-8;
    access_log off;
    sendfile on;
    absolute_redirect off;
    client_max_body_size 0;
    client_body_temp_path "$own/body";
    proxy_temp_path "$own/proxy";
    fastcgi_temp_path "$own/fastcgi";
    uwsgi_temp_path "$own/uwsgi";
    scgi_temp_path "$own/scgi";
    map \$http_upgrade \$connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen $address:{};
"#,
            self.port
        );
        for Folder { zone, below, path } in &self.folders {
            let root = format!("$ATELIER_WORKSPACE/{zone}/{below}");
            let root = root.trim_end_matches('/');
            // A link that leads out of the folder is not followed.
            writeln!(
                text,
                "        location {path} {{ alias \"{root}/\"; autoindex on; disable_symlinks on from=\"{root}/\"; }}"
            )
            .expect("a string takes all");
        }
        for Upstream { port, path } in &self.upstreams {
            write!(
                text,
                r"        location {path} {{
            proxy_pass http://$near:{port}/;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_set_header Host \$host;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection \$connection_upgrade;
        }}
"
            )
            .expect("a string takes all");
        }
        text.push_str(
            r#"    }
}
END
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
command -v nginx >/dev/null || { echo "nginx is not installed: the base image needs the package nginx-light" >&2; exit 127; }
exec nginx -p "$own" -e stderr -c "$own/nginx.conf" -g "daemon off;"
"#,
        );
        text
    }
}

/// A path of its own that begins and ends with /.
fn path<'a>(at: &mut Composition<'_>, field: String, text: &'a str, seen: &mut Vec<&'a str>) {
    if text == "$request_uri" {
        at.problem(field, "\"/\", or a path that begins and ends with /");
        return;
    }
    check::subpath(at, &field, text);
    if seen.contains(&text) {
        at.problem(field, format!("{text} is taken"));
    }
    seen.push(text);
}
