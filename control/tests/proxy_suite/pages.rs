//! Answers of the proxy's own.

use control::proxy::{PortRoute, Progress, RouteState, StepState};

use crate::support::{Fixture, ID, PORT, PREFIX, port, studio};

fn state(fixture: &Fixture, state: RouteState, ready: bool, address: std::net::SocketAddr) {
    fixture.routes.set(studio(ID, state, [(PORT, PortRoute { ready, ..port(address, "/") })]));
}

fn starting() -> RouteState {
    let step = |step: &str, state, message: &str| Progress {
        step: step.to_owned(),
        state,
        message: message.to_owned(),
        elapsed_ms: None,
    };
    RouteState::Starting {
        progress: vec![
            step("Image", StepState::Done, ""),
            step("Pod", StepState::Active, "<pulling>"),
        ],
    }
}

#[tokio::test]
async fn a_starting_studio_shows_its_progress_and_lets_through_what_is_ready() {
    let fixture = Fixture::new().await;
    let address = fixture.echo("/").await;
    state(&fixture, starting(), false, address);
    let path = format!("{PREFIX}/");
    let page = fixture.get(&path, "Accept: text/html\r\n").await;
    assert_eq!((page.status, page.header("retry-after")), (503, "2"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        page.body.contains("&lt;pulling&gt;") && !page.body.contains("<pulling>"),
        "{}",
        page.body
    );
    let json = fixture.get(&path, "Accept: application/json\r\n").await;
    let json: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(json["progress"][1]["step"], "Pod");
    state(&fixture, starting(), true, address);
    assert_eq!(fixture.get(&path, "").await.status, 200);
}

#[tokio::test]
async fn a_port_without_a_listener_is_waited_for() {
    let fixture = Fixture::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    state(&fixture, RouteState::Running, true, address);
    let path = format!("{PREFIX}/");
    let answer = fixture.get(&path, "").await;
    assert_eq!(
        (answer.status, answer.header("x-atelier-proxy"), answer.header("retry-after")),
        (503, "starting", "2")
    );
    assert!(
        answer.body.contains(&format!("http://{}/studios/{ID}", fixture.main_host())),
        "{}",
        answer.body
    );
    fixture.echo("/").await;
    assert_eq!(fixture.get(&path, "").await.status, 200);
}

#[tokio::test]
async fn what_does_not_run_says_so_and_leads_to_its_page() {
    let fixture = Fixture::new().await;
    let address = fixture.echo("/").await;
    let failed = RouteState::Failed { reason: "The image <x> is gone.".to_owned() };
    for (route, code) in
        [(RouteState::Stopped, "stopped"), (RouteState::Stopping, "stopping"), (failed, "failed")]
    {
        state(&fixture, route, true, address);
        let page = fixture.get(&format!("{PREFIX}/"), "Accept: text/html\r\n").await;
        assert_eq!((page.status, page.header("x-atelier-proxy")), (409, code));
        assert!(page.header("retry-after").is_empty());
        let link = format!("href=\"http://{}/studios/{ID}\"", fixture.main_host());
        assert!(page.body.contains(&link), "{}", page.body);
    }
}

#[tokio::test]
async fn a_port_that_the_studio_does_not_have() {
    let fixture = Fixture::new().await;
    let address = fixture.echo("/").await;
    fixture.studio([(1, port(address, "/"))]);
    let answer = fixture.get(&format!("{PREFIX}/"), "").await;
    assert_eq!((answer.status, answer.header("x-atelier-proxy")), (404, "unknown-port"));
}
