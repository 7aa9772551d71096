//! Proxied subpaths against a real nginx: the same requests through both, compared by what the upstream sees.

use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use control::proxy::{nginx, policy::check_path};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::net::TcpStream;

use crate::support::{Client, Fixture, ID, KEY, port, soon};

const NGINX: &str = "/usr/sbin/nginx";

/// Port of the studio → `proxy_pass` → our name for it.
const WAYS: [(u16, &str, &str); 5] = [
    (1000, "http://UP/", "/"),
    (1001, "http://UP/sub/", "/sub/"),
    (1002, "http://UP/sub", "/sub"),
    (1003, "http://UP", ""),
    (1004, "http://UP$request_uri", "$request_uri"),
];

struct Nginx {
    child: std::process::Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was ours to end");
    }
}

/// `None` where there is no nginx, which only a developer's machine may lack.
async fn start(upstream: SocketAddr) -> Option<Nginx> {
    if !Path::new(NGINX).exists() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {NGINX}");
        #[expect(clippy::print_stdout, reason = "the test's summary")]
        {
            println!("SKIPPED: {NGINX} is not installed, so nothing was compared with it");
        }
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let locations = WAYS.map(|(port, pass, _)| {
        let pass = pass.replace("UP", &upstream.to_string());
        format!("location /code-studios/DEMO/{ID}/{port}/ {{ proxy_pass {pass}; }}\n")
    });
    let locations = locations.concat();
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.path().display()))
        .concat();
    let conf = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/errors;\nevents {{}}\n\
         http {{ access_log off; {temp} server {{ listen {address}; {locations} }} }}",
        folder.path().display()
    );
    fs::write(folder.path().join("conf"), conf).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own child")]
    let child = std::process::Command::new(NGINX)
        .args(["-p", &folder.path().to_string_lossy(), "-c", "conf"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let up = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(up).await;
    Some(Nginx { child, address, _folder: folder })
}

/// What the upstream sees as its target, or the status that kept the request from it.
type Seen = Result<String, u16>;

async fn ask(address: SocketAddr, target: &str, host: &str) -> Seen {
    let mut client = Client::connect(address).await;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
    );
    let answer = client.ask(&request).await;
    if answer.status == 200 { Ok(answer.target().to_owned()) } else { Err(answer.status) }
}

async fn both() -> Option<(Fixture, Nginx)> {
    let fixture = Fixture::new().await;
    let upstream = fixture.echo("/").await;
    fixture.studio(WAYS.map(|(number, _, subpath)| (number, port(upstream, subpath))));
    let nginx = start(upstream).await?;
    Some((fixture, nginx))
}

fn prefix(port: u16) -> String {
    format!("/code-studios/DEMO/{ID}/{port}/")
}

async fn through(fixture: &Fixture, port: u16, target: &str) -> Seen {
    ask(fixture.address, target, &format!("{port}--{ID}.localhost")).await
}

/// How we compare on a request.
enum Expected {
    /// As nginx, whatever that is.
    Same,
    /// Refused here by policy, with this status, whatever nginx does.
    Refused(u16),
    /// The part from `#` on never gets to us.
    WithoutFragment,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_arrive_as_behind_nginx() {
    use Expected::{Refused, Same, WithoutFragment};
    let table = [
        ("", Same),
        ("?", Same),
        ("?x", Same),
        ("?x=1&y=%2F%2f&&", Same),
        ("??", Same),
        ("?a?b=/../c//d", Same),
        ("a", Same),
        ("a/", Same),
        ("a/b/c.html", Same),
        ("/", Same),
        ("//", Same),
        ("///a", Same),
        ("a//b", Same),
        ("a///b//", Same),
        ("a//?b//c", Same),
        ("%2F", Same),
        ("%2f%2Fa", Same),
        ("a%2Fb", Same),
        ("a%2F%2Fb//c", Same),
        ("a%2F", Same),
        ("%61%62%63", Same),
        ("%41/%5A", Same),
        ("a%20b", Same),
        ("a+b%2Bc", Same),
        ("%25", Same),
        ("%2525", Same),
        ("%252F", Same),
        ("%252e%252e/x", Same),
        ("%3F", Same),
        ("a%3Fb?c", Same),
        ("a%3fb%3Fc", Same),
        ("%23x", Same),
        ("a%23b?c%23d", Same),
        ("%26%3D%3B%3A%40%2C%24", Same),
        ("&=;:@,$!'()*~-_.", Same),
        ("%22%3C%3E%5C%5E%60%7B%7C%7D", Same),
        ("%C3%A9", Same),
        ("%c3%a9/%E2%82%AC", Same),
        ("%FF%FE", Same),
        ("%7F%01%0A%0d%09", Same),
        ("é", Same),
        ("é/%20", Same),
        ("x{y}|z", Same),
        ("x\"y", Same),
        ("...", Same),
        (".../x", Same),
        (".hidden/..x/x..", Same),
        ("a.b/c..d", Same),
        ("a;b=c/d", Same),
        ("%", Same),
        ("%2", Same),
        ("%zz", Same),
        ("a%g0", Same),
        ("%00", Same),
        ("a%00b", Same),
        ("x?%zz%00", Same),
        // Dot segments: nginx resolves or passes them; here they end.
        (".", Refused(400)),
        ("..", Refused(400)),
        ("./a", Refused(400)),
        ("a/./b", Refused(400)),
        ("a/../b", Refused(400)),
        ("a/..", Refused(400)),
        ("%2e%2e/x", Refused(400)),
        ("a/.%2E/b", Refused(400)),
        ("..%2fx", Refused(400)),
        ("a/..%5cb", Refused(400)),
        ("a\\..\\b", Refused(400)),
        ("..;/x", Refused(400)),
        // Characters that no address may have unencoded: hyper refuses them.
        ("x<y>", Refused(400)),
        ("x^y`z", Refused(400)),
        ("x?a=\"b\"", Refused(400)),
        ("x#y", WithoutFragment),
        ("x?a#y", WithoutFragment),
    ];
    let Some((fixture, nginx)) = both().await else { return };
    let mut wrong = Vec::new();
    for (rest, expected) in &table {
        for (port, pass, _) in WAYS {
            let target = format!("{}{rest}", prefix(port));
            let theirs = match expected {
                Refused(status) => Err(*status),
                Same => ask(nginx.address, &target, "x").await,
                WithoutFragment => {
                    ask(nginx.address, target.split('#').next().unwrap_or_default(), "x").await
                }
            };
            let ours = through(&fixture, port, &target).await;
            if ours != theirs {
                wrong.push(format!("{rest:?} with {pass}: expected {theirs:?}, got {ours:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_requests_arrive_as_behind_nginx() {
    let Some((fixture, nginx)) = both().await else { return };
    let pieces = [
        "a", "b", "/", "//", ".", "..", "%2F", "%2f", "%2e", "%2E", "%25", "%3F", "%23", "%20",
        "%41", "%C3", "%A9", "%7e", "%5C", "\\", "+", ";", "=", "&", "?", "\"", "{", "é", "%0",
        "%",
    ];
    let rests = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12);
    let handle = tokio::runtime::Handle::current();
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..Default::default() });
    tokio::task::block_in_place(|| {
        runner
            .run(
                &(rests, prop::sample::select(WAYS.to_vec())),
                |(pieces, (port, pass, subpath))| {
                    let target = format!("{}{}", prefix(port), pieces.concat());
                    let (path, query) = match target.split_once('?') {
                        Some((path, query)) => (path, Some(query)),
                        None => (target.as_str(), None),
                    };
                    let (theirs, ours) = handle.block_on(async {
                        (
                            ask(nginx.address, &target, "x").await,
                            through(&fixture, port, &target).await,
                        )
                    });
                    // The rule alone, dot segments and all.
                    let below = nginx::normalise(path)
                        .is_ok_and(|path| path.starts_with(prefix(port).as_bytes()));
                    if below {
                        let rule =
                            nginx::target(path, query, &prefix(port), &subpath.parse().unwrap());
                        prop_assert_eq!(
                            rule.as_deref().ok(),
                            theirs.as_deref().ok(),
                            "rule, {}",
                            pass
                        );
                    } else {
                        prop_assert!(
                            theirs.is_err(),
                            "{:?} reached the upstream as {:?}",
                            target,
                            theirs
                        );
                    }
                    // The whole proxy: the same, or refused by policy.
                    let unsendable = query.is_some_and(|query| query.contains('"'));
                    let refused = check_path(path).is_err() || unsendable;
                    let expected = if refused { Err(400) } else { theirs };
                    prop_assert_eq!(ours, expected, "proxy, {}", pass);
                    Ok(())
                },
            )
            .unwrap();
    });
}

#[tokio::test]
async fn the_prefix_without_its_slash() {
    let Some((fixture, nginx)) = both().await else { return };
    for (port, pass, _) in WAYS {
        let bare = prefix(port).trim_end_matches('/').to_owned();
        let seen = ask(nginx.address, &format!("{bare}?q=1"), "x").await;
        assert_eq!(seen, Err(301), "{pass}");
    }
    // A replaced prefix needs the slash, as there.
    assert_eq!(through(&fixture, 1000, "/code-studios/DEMO/abcdefgh/1000?q=1").await, Err(302));
    // A server that sees its prefix is left to decide: adding a slash could go round in circles with one that takes it off.
    let bare = "/code-studios/DEMO/abcdefgh/1004?q=1";
    assert_eq!(through(&fixture, 1004, bare).await, Ok(bare.to_owned()));
}
