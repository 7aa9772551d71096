//! The proxy alone, over a table with one studio, for benchmarks beside nginx.
//!
//! `proxy_bench LISTEN UPSTREAM` serves port 8888 of studio `abcdefgh` (project DEMO) with the subpath `/`. Requests need
//! `Host: 8888--abcdefgh.localhost` and `Authorization: Bearer bench`; it says so on its one line of output.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use axum::http::HeaderMap;
use control::{
    clock::SystemClock,
    domain::subpath::Subpath,
    proxy::{
        Authorizer, KeyVerdict, Listening, NoTunnels, PortRoute, Principal, Proxy, ProxyConfig,
        ProxyParts, Refusal, Role, RouteState, RouteTable, Scheme, StudioRoute, Upstream,
        app_prefix, serve_listener,
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

struct OneKey;

#[async_trait]
impl Authorizer for OneKey {
    async fn session_from_main_cookie(&self, _: &HeaderMap) -> Option<Principal> {
        None
    }

    async fn session_holds(&self, _: &Principal) -> bool {
        true
    }

    async fn may_open(&self, _: &Principal, _: &StudioRoute, _: u16) -> Result<(), Refusal> {
        Ok(())
    }

    async fn api_key(&self, key: &str) -> KeyVerdict {
        match ("bench".parse(), key) {
            (Ok(user), "bench") => {
                KeyVerdict::Valid(Principal { user, session: "bench".to_owned() })
            }
            _ => KeyVerdict::NotOurs,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: proxy_bench LISTEN UPSTREAM");
    };
    let upstream: SocketAddr = upstream.parse()?;
    let (project, id, port) = ("DEMO".parse()?, "abcdefgh".parse()?, 8888);
    let prefix = app_prefix(&project, &id, port);
    let route = PortRoute {
        upstream: Upstream::Direct(upstream),
        subpath: Subpath::root(),
        secret: None,
        ready: true,
    };
    let routes = Arc::new(RouteTable::default());
    routes.set(StudioRoute {
        project,
        id,
        name: "bench".to_owned(),
        owner: "bench".parse()?,
        state: RouteState::Running,
        first_tool: Some(port),
        ports: BTreeMap::from([(port, route)]),
    });
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let parts = ProxyParts {
        routes,
        authorizer: Arc::new(OneKey),
        tunnels: Arc::new(NoTunnels),
        clock: Arc::new(SystemClock),
        tracker,
        cancel: cancel.clone(),
    };
    let proxy = Proxy::new(ProxyConfig::new(rand::random()), parts)?;
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    let address = listener.local_addr()?;
    #[expect(clippy::print_stdout, reason = "its one line of output")]
    {
        println!(
            "http://{address}{prefix}/ Host: 8888--abcdefgh.localhost Authorization: Bearer bench"
        );
    }
    let listening = Listening { scheme: Scheme::Http, role: Role::Main };
    serve_listener(listener, proxy, axum::Router::new(), listening, cancel).await;
    Ok(())
}
