//! The system's Chromium signs in to an application, alone and in a frame of the control plane's page.

use std::{
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc;

use crate::support::{Fixture, PREFIX, server};

const CHROMIUM: &str = "/usr/bin/chromium";

/// The application's page: sets a cookie by its server, then calls home by fetch, by POST and by WebSocket.
const PAGE: &str = "<script>(async () => {\
    const at = location.pathname;\
    await fetch(at + 'fetched');\
    await fetch(at + 'posted', {method: 'POST', body: 'x'});\
    new WebSocket(location.origin.replace('http', 'ws') + at + 'socket');\
})()</script>";

struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was ours to end");
    }
}

fn open(url: &str) -> Option<Browser> {
    if !Path::new(CHROMIUM).exists() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {CHROMIUM}");
        #[expect(clippy::print_stdout, reason = "the test's summary")]
        {
            println!("SKIPPED: {CHROMIUM} is not installed, so no browser signed in");
        }
        return None;
    }
    let profile = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own child")]
    let child = std::process::Command::new(CHROMIUM)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .arg("--remote-debugging-port=0")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Some(Browser { child, _profile: profile })
}

/// Opens `page` and sees how the application is called by what it shows.
async fn signs_in(page: impl FnOnce(&Fixture) -> String) {
    let fixture = Fixture::new().await;
    let (calls, mut called) = mpsc::channel(64);
    let calls = Arc::new(calls);
    fixture
        .upstream("/", move |stream, _| {
            let calls = calls.clone();
            Box::pin(async move {
                let mut server = server(stream);
                while let Some((head, _)) = server.request().await {
                    let cookies =
                        "Content-Type: text/html\r\nSet-Cookie: own=1; Path=/; HttpOnly\r\n";
                    server.reply("200 OK", cookies, PAGE).await;
                    calls.send(head).await.unwrap();
                }
            })
        })
        .await;
    let url = page(&fixture);
    let Some(_browser) = open(&url) else { return };
    for line in ["GET /lab/ ", "GET /lab/fetched ", "POST /lab/posted ", "GET /lab/socket "] {
        let head = loop {
            let head = tokio::time::timeout(Duration::from_mins(1), called.recv()).await;
            let head = head.unwrap_or_else(|_| panic!("{line} never came")).unwrap();
            if !head.contains("/favicon.ico") {
                break head;
            }
        };
        assert!(head.starts_with(line), "{line}: {head}");
        let lower = head.to_ascii_lowercase();
        // The application's own cookie works, also where it is third-party content, and ours stays away.
        assert_eq!(lower.contains("cookie: own=1\r\n"), line != "GET /lab/ ", "{head}");
        assert!(!lower.contains("atelier-"), "{head}");
        assert_eq!(lower.contains("upgrade: websocket"), line == "GET /lab/socket ", "{head}");
    }
}

#[tokio::test]
async fn on_a_page_of_its_own() {
    signs_in(|fixture| {
        format!("http://{}/start?to={}{PREFIX}/lab/", fixture.main_host(), fixture.app_origin())
    })
    .await;
}

#[tokio::test]
async fn in_a_frame_of_the_control_planes_page() {
    signs_in(|fixture| {
        format!("http://{}/start?frame={}{PREFIX}/lab/", fixture.main_host(), fixture.app_origin())
    })
    .await;
}

#[tokio::test]
async fn in_a_frame_by_the_main_origins_own_path() {
    signs_in(|fixture| format!("http://{}/start?frame={PREFIX}/lab/", fixture.main_host())).await;
}
