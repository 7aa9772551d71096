//! `Tunnel`: TCP to a port of the studio.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream;
use proto::FRAME_BYTES;
use proto::agent::v1::{TunnelData, tunnel_server::Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status, Streaming};

use super::{Service, Stream_};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[tonic::async_trait]
impl Tunnel for Service {
    type OpenStream = Stream_<TunnelData>;

    async fn open(
        &self,
        request: Request<Streaming<TunnelData>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let mut incoming = request.into_inner();
        let first = incoming
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("a port is missing"))?;
        let plan = self.agent.launch.plan();
        let plan =
            plan.ok_or_else(|| Status::failed_precondition("no manifest has been launched yet"))?;
        if !plan.may_tunnel(first.port) {
            return Err(Status::permission_denied(format!(
                "port {} is not one of the studio's",
                first.port
            )));
        }
        let port = u16::try_from(first.port)
            .map_err(|_| Status::invalid_argument("no port has this number"))?;
        let address = SocketAddr::new(plan.connect_address, port);
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        let stream = connect.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = stream.map_err(|error| {
            Status::unavailable(format!("nobody listens on port {port}: {error}"))
        })?;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let cancelled = CancellationToken::new();
        let both = cancelled.clone().drop_guard();
        let reset = cancelled.clone();
        self.agent.tasks.spawn(async move {
            tokio::select! {
                sent = send(first, &mut incoming, &mut write) => {
                    // A half that ends cleanly leaves the other one alone; a cancelled one takes it along.
                    if sent.is_err() {
                        reset.cancel();
                    }
                }
                () = reset.cancelled() => {}
            }
        });
        Ok(Response::new(Box::pin(receive(read, cancelled, both))))
    }
}

/// Towards the port, until the control plane ends its half.
async fn send(
    first: TunnelData,
    incoming: &mut Streaming<TunnelData>,
    write: &mut OwnedWriteHalf,
) -> io::Result<()> {
    write.write_all(&first.data).await?;
    loop {
        match incoming.message().await {
            Ok(Some(more)) => write.write_all(&more.data).await?,
            Ok(None) => return write.shutdown().await,
            Err(status) => return Err(io::Error::other(status)),
        }
    }
}

/// From the port; dropping the stream ends the other half.
fn receive(
    read: OwnedReadHalf,
    cancelled: CancellationToken,
    both: DropGuard,
) -> impl futures_util::Stream<Item = Result<TunnelData, Status>> + Send {
    stream::unfold(Some((read, cancelled, both)), |state| async move {
        let (mut read, cancelled, both) = state?;
        let mut buffer = bytes::BytesMut::with_capacity(FRAME_BYTES / 2);
        let count = tokio::select! {
            count = read.read_buf(&mut buffer) => count,
            () = cancelled.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        match count {
            Ok(0) => {
                // Only this half has ended: the guard must not take the other one along.
                both.disarm();
                None
            }
            Ok(_) => Some((
                Ok(TunnelData { port: 0, data: buffer.freeze() }),
                Some((read, cancelled, both)),
            )),
            Err(error) => Some((Err(Status::aborted(error.to_string())), None)),
        }
    })
}
