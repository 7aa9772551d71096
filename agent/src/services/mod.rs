//! The gRPC services, one file each: they translate between the protocol and the agent's parts, and decide nothing.

mod actions;
mod files;
mod logs;
mod process;
mod session;
mod sync;

mod tunnel;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use proto::MESSAGE_LIMIT_BYTES;
use proto::agent::v1::{
    actions_server::ActionsServer, files_server::FilesServer, local_server::LocalServer,
    logs_server::LogsServer, process_server::ProcessServer, session_server::SessionServer,
    sync_server::SyncServer, tunnel_server::TunnelServer,
};
use tonic::Status;
use tonic::transport::server::{Router, Server};
use tower::layer::util::{Identity, Stack};

use crate::agent::Agent;
use crate::connection::{Gate, Kind};
use crate::local::LocalService;

/// A service's answer, piece by piece.
type Stream_<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What every service is made of.
#[derive(Clone, Debug)]
struct Service {
    agent: Arc<Agent>,
}

/// All services, for one connection.
pub(crate) fn add_to(
    mut server: Server<Stack<Gate, Identity>>,
    agent: &Arc<Agent>,
    kind: Kind,
) -> Router<Stack<Gate, Identity>> {
    let service = Service { agent: agent.clone() };
    let limit = MESSAGE_LIMIT_BYTES;
    let router = server
        .add_service(ProcessServer::new(service.clone()).max_decoding_message_size(limit))
        .add_service(ActionsServer::new(service.clone()).max_decoding_message_size(limit))
        .add_service(LogsServer::new(service.clone()).max_decoding_message_size(limit));
    match kind {
        Kind::Local => router.add_service(LocalServer::new(LocalService { agent: agent.clone() })),
        Kind::Control | Kind::Bulk => router
            .add_service(SessionServer::new(service.clone()).max_decoding_message_size(limit))
            .add_service(FilesServer::new(service.clone()).max_decoding_message_size(limit))
            .add_service(SyncServer::new(service.clone()).max_decoding_message_size(limit))
            .add_service(TunnelServer::new(service).max_decoding_message_size(limit)),
    }
}
