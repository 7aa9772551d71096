//! `atelier shell`: a terminal in a running studio, on this terminal. It outlives the connection, and can be left and
//! come back to.

use std::{
    io::{IsTerminal as _, stdin},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    sync::mpsc::Receiver,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use super::{
    client::Client,
    error::CliError,
    events::{AGAIN_MS, SILENCE},
    find::{Named, id_of},
    output::Output,
    session::exit_code,
    streams::{Input, pieces},
};

/// How much of what was on the terminal is shown when one comes back.
const REPLAY_BYTES: u64 = 64 << 10;
const SESSION_FIELDS: &[&str] = &["id", "command", "terminal", "started_at", "viewers", "exit"];
const CTRL_P: u8 = 0x10;
const CTRL_Q: u8 = 0x11;

/// Opens a terminal in a running studio. Ctrl-P Ctrl-Q leaves it, and it goes on; its exit codes are those of `exec`.
#[derive(Debug, clap::Args)]
pub(super) struct ShellArgs {
    #[command(flatten)]
    named: Named,
    /// Comes back to a terminal that was left.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Lists what runs in the studio's terminals and beside them.
    #[arg(long, conflicts_with = "session")]
    list: bool,
    /// Runs this instead of the shell.
    #[arg(last = true, conflicts_with = "session")]
    command: Vec<String>,
}

/// How a visit ended.
enum End {
    Exit(Value),
    Left,
}

pub(super) async fn shell(
    client: &Client,
    args: ShellArgs,
    input: Input,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    if args.list {
        let studio = args.named.id(client).await?;
        let sessions = client.list(&["studios", &studio, "sessions"], &[]).await?;
        return output.items(&sessions, SESSION_FIELDS);
    }
    visit(client, args, input, output).await.map_err(CliError::ours)
}

async fn visit(
    client: &Client,
    args: ShellArgs,
    input: Input,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    if !stdin().is_terminal() {
        return Err(CliError::usage("there is no terminal here: use `atelier exec -i`"));
    }
    let studio = args.named.id(client).await?;
    let session = if let Some(session) = &args.session {
        client.get(&["studios", &studio, "sessions", session]).await?
    } else {
        let body = json!({"command": args.command, "terminal": size(), "stdin": true});
        client.post(&["studios", &studio, "sessions"], &body).await?
    };
    let id = id_of(&session)?.to_owned();
    let printed = session.get("end_offset").and_then(Value::as_u64).unwrap_or_default();
    let offset = if args.session.is_some() { printed.saturating_sub(REPLAY_BYTES) } else { 0 };
    let raw = RawMode::on()?;
    let terminal = Terminal { client, studio, session: id.clone(), offset, keys: Keys::default() };
    let end = terminal.visit(pieces(input), output).await;
    drop(raw);
    match end? {
        End::Left => output.note(&format!(
            "\natelier: it goes on; `atelier shell {} --session {id}` comes back",
            args.named.studio
        )),
        End::Exit(exit) => match exit_code(&exit)? {
            0 => Ok(()),
            code => Err(CliError::Exited { code }),
        },
    }
}

struct Terminal<'a> {
    client: &'a Client,
    studio: String,
    session: String,
    /// Where the output goes on after a lost connection.
    offset: u64,
    keys: Keys,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Typed = Receiver<std::io::Result<bytes::Bytes>>;

impl Terminal<'_> {
    /// Until its end, over as many connections as that takes.
    async fn visit(mut self, mut typed: Typed, output: &mut Output<'_>) -> Result<End, CliError> {
        let mut socket = self.connect().await?;
        loop {
            let lost = match self.talk(&mut socket, &mut typed, output).await? {
                Ok(end) => return Ok(end),
                Err(lost) => lost,
            };
            let mut waits = AGAIN_MS.iter();
            socket = loop {
                let Some(wait) = waits.next() else {
                    return Err(CliError::Failed { why: format!("the terminal is lost: {lost}") });
                };
                tokio::time::sleep(Duration::from_millis(*wait)).await;
                match self.connect().await {
                    Ok(socket) => break socket,
                    Err(CliError::Refused { status, .. }) if status >= 500 => {}
                    Err(CliError::Failed { .. }) => {}
                    Err(error) => return Err(error),
                }
            };
        }
    }

    async fn connect(&self) -> Result<Socket, CliError> {
        let path = ["studios", &self.studio, "sessions", &self.session, "attach"];
        let request = self.client.request(Method::GET, &path).query(&[("from", self.offset)]);
        let request = request.build()?;
        let mut url = request.url().clone();
        url.set_scheme("ws").map_err(|()| CliError::usage("the server's address is not http"))?;
        let failed = |error: tungstenite::Error| match error {
            tungstenite::Error::Http(answer) => {
                let body = answer.body().clone().unwrap_or_default();
                super::client::refused(answer.status(), &String::from_utf8_lossy(&body))
            }
            error => CliError::Failed { why: format!("can't reach the terminal: {error}") },
        };
        let mut upgrade = url.as_str().into_client_request().map_err(failed)?;
        upgrade.headers_mut().extend(request.headers().clone());
        let (socket, _) = tokio_tungstenite::connect_async(upgrade).await.map_err(failed)?;
        Ok(socket)
    }

    /// Over one connection. The inner error: it is lost, and may be made anew.
    async fn talk(
        &mut self,
        socket: &mut Socket,
        typed: &mut Typed,
        output: &mut Output<'_>,
    ) -> Result<Result<End, String>, CliError> {
        let on = |kind| signal(kind).map_err(CliError::io("can't watch for signals"));
        let mut resized = on(SignalKind::window_change())?;
        let mut terminate = on(SignalKind::terminate())?;
        let mut message = Some(resize());
        let mut typing = true;
        loop {
            if let Some(message) = message.take()
                && let Err(error) = socket.send(message).await
            {
                return Ok(Err(error.to_string()));
            }
            tokio::select! {
                heard = tokio::time::timeout(SILENCE, socket.next()) => match heard {
                    Ok(Some(Ok(heard))) => {
                        if let Some(end) = self.hear(&heard, output)? {
                            return Ok(end);
                        }
                    }
                    Ok(Some(Err(error))) => return Ok(Err(error.to_string())),
                    Ok(None) => return Ok(Err("the server ends the connection".into())),
                    Err(_) => return Ok(Err("the server is silent".into())),
                },
                piece = typed.recv(), if typing => {
                    let Some(piece) = piece else {
                        typing = false;
                        message = Some(Message::Text(json!({"type": "end"}).to_string().into()));
                        continue;
                    };
                    let piece = piece.map_err(CliError::io("can't read the terminal"))?;
                    let (keys, left) = self.keys.pressed(&piece);
                    if left {
                        return Ok(Ok(End::Left));
                    }
                    message = Some(Message::Binary(keys.into()));
                }
                _ = resized.recv() => message = Some(resize()),
                _ = terminate.recv() => return Ok(Ok(End::Left)),
            }
        }
    }

    fn hear(
        &mut self,
        message: &Message,
        output: &mut Output<'_>,
    ) -> Result<Option<Result<End, String>>, CliError> {
        match message {
            Message::Binary(bytes) => {
                let (channel, data) = bytes.split_first().unwrap_or((&0, &[]));
                self.offset += data.len() as u64;
                if *channel == 2 { output.err_bytes(data)? } else { output.bytes(data)? }
            }
            Message::Text(text) => {
                let told: Value = serde_json::from_str(text)?;
                match told.get("type").and_then(Value::as_str) {
                    Some("exit") => return Ok(Some(Ok(End::Exit(told)))),
                    Some("gap") => {
                        let to = told.get("to").and_then(Value::as_u64);
                        self.offset = to.unwrap_or(self.offset);
                    }
                    // Of a newer server.
                    _ => {}
                }
            }
            Message::Close(why) => {
                let why = why.as_ref().map(|frame| frame.reason.to_string()).unwrap_or_default();
                return Ok(Some(Err(format!("the server ends the connection: {why}"))));
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(None)
    }
}

/// The size of our terminal; 80 × 24 where it has none.
fn size() -> Value {
    let size = tcgetwinsize(stdin()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (columns, rows) = size.map_or((80, 24), |size| (size.ws_col, size.ws_row));
    json!({"columns": columns, "rows": rows})
}

fn resize() -> Message {
    let mut message = size();
    message["type"] = "resize".into();
    Message::Text(message.to_string().into())
}

/// Every key goes to the studio, until this is dropped.
struct RawMode(Termios);

impl RawMode {
    fn on() -> Result<Self, CliError> {
        let failed =
            |error: rustix::io::Errno| CliError::io("the terminal can't be made raw")(error.into());
        let before = tcgetattr(stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Where this fails, the terminal is gone.
        tcsetattr(stdin(), OptionalActions::Drain, &self.0).ok();
    }
}

/// Looks for the keys that leave: a Ctrl-P is held back until the next key.
#[derive(Debug, Default)]
struct Keys {
    held: bool,
}

impl Keys {
    /// What goes to the studio, and whether to leave.
    fn pressed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(bytes.len() + 1);
        for &byte in bytes {
            if std::mem::take(&mut self.held) {
                if byte == CTRL_Q {
                    return (passed, true);
                }
                passed.push(CTRL_P);
            }
            if byte == CTRL_P {
                self.held = true;
            } else {
                passed.push(byte);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_both_keys_leave() {
        let mut keys = Keys::default();
        assert_eq!(keys.pressed(b"ls\x10"), (b"ls".to_vec(), false));
        assert_eq!(keys.pressed(b"\x10x\x11"), (b"\x10\x10x\x11".to_vec(), false));
        assert_eq!(keys.pressed(b"a\x10\x11b"), (b"a".to_vec(), true));
        let mut keys = Keys::default();
        assert_eq!(keys.pressed(b"\x10"), (Vec::new(), false));
        assert_eq!(keys.pressed(b"\x11"), (Vec::new(), true));
    }
}
