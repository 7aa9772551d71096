//! A command that runs in a studio, as if it ran here: its output on our output, our input on its input, its exit code
//! as ours, and signals handed on.

use std::pin::pin;

use data_encoding::BASE64;
use futures_util::future::OptionFuture;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    client::{self, Client},
    error::CliError,
    events::Events,
    output::{Output, harmless},
    streams::{Input, pieces},
};

/// Exit code of a command that could not be started, as shells have it.
const NOT_STARTED: u8 = 127;
/// Most output of a command whose answer is one JSON document.
const JSON_LIMIT_BYTES: usize = 64 << 20;

/// A session of a studio.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub client: &'a Client,
    pub studio: &'a str,
    pub session: &'a str,
}

impl At<'_> {
    fn path<'b>(&'b self, what: &'b str) -> [&'b str; 5] {
        ["studios", self.studio, "sessions", self.session, what]
    }

    pub(super) async fn order(&self, what: &str, body: &Value) -> Result<(), CliError> {
        client::send(self.client.request(Method::POST, &self.path(what)).json(body)).await.map(drop)
    }

    /// Passes input on until its end, or until the command wants no more.
    async fn type_in(&self, input: Input) -> Result<(), CliError> {
        let mut pieces = pieces(input);
        loop {
            let piece = pieces.recv().await.transpose();
            let piece = piece.map_err(CliError::io("can't read standard input"))?;
            let end = piece.is_none();
            let request = self.client.request(Method::POST, &self.path("input"));
            let request = request.query(&[("end", end)]).body(piece.unwrap_or_default());
            match client::send(request).await {
                Ok(_) if end => return Ok(()),
                Ok(_) => {}
                // It has ended, or has closed its standard input. How it ended comes with its output.
                Err(CliError::Refused { status, .. }) if status < 500 => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands the signals that we get on to it. The second interrupt ends both.
    async fn signals(&self) -> Result<(), CliError> {
        let on = |kind| signal(kind).map_err(CliError::io("can't watch for signals"));
        let mut interrupt = on(SignalKind::interrupt())?;
        let mut terminate = on(SignalKind::terminate())?;
        let mut hangup = on(SignalKind::hangup())?;
        let mut interrupts = 0;
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "INT",
                _ = terminate.recv() => "TERM",
                _ = hangup.recv() => "HUP",
            };
            interrupts += u8::from(name == "INT");
            if interrupts > 1 {
                self.order("cancel", &Value::Null).await?;
                return Err(CliError::Exited { code: 130 });
            }
            match self.order("signal", &json!({"signal": name})).await {
                // It may have ended by now; its output says so.
                Ok(()) | Err(CliError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Everything that it prints, and how it ended.
    async fn output(&self, output: &mut Output<'_>) -> Result<Value, CliError> {
        let mut events = Events::new(self.client, &self.path("output"));
        let mut kept = [Vec::new(), Vec::new()];
        loop {
            let event = events.next().await?;
            match event.name.as_str() {
                "output" => {
                    let event = event.json()?;
                    let to_err = event.get("channel").and_then(Value::as_str) == Some("stderr");
                    let data = event.get("data").and_then(Value::as_str).unwrap_or_default();
                    let data =
                        BASE64.decode(data.as_bytes()).map_err(|error| CliError::Failed {
                            why: format!("the server's output is no base64: {error}"),
                        })?;
                    if !output.json {
                        let written =
                            if to_err { output.err_bytes(&data) } else { output.bytes(&data) };
                        written?;
                        continue;
                    }
                    kept[usize::from(to_err)].extend_from_slice(&data);
                    if kept.iter().map(Vec::len).sum::<usize>() > JSON_LIMIT_BYTES {
                        self.order("cancel", &Value::Null).await?;
                        let why = format!(
                            "more than {JSON_LIMIT_BYTES} bytes of output; leave --json out"
                        );
                        return Err(CliError::Failed { why });
                    }
                }
                "gap" => {
                    let event = event.json()?;
                    let at =
                        |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or_default();
                    let (from, to) = (at("from"), at("to"));
                    output
                        .note(&format!("atelier: bytes {from} to {to} of the output are lost"))?;
                }
                "exit" => {
                    let exit = event.json()?;
                    if output.json {
                        let [out, err] = kept.map(|bytes| BASE64.encode(&bytes));
                        let session = self.session;
                        output.value(&json!({"session": session, "exit": exit, "stdout": out, "stderr": err}))?;
                    }
                    return Ok(exit);
                }
                _ => {}
            }
        }
    }

    /// Sees it to its end. Its exit code is the error that this ends with, unless it is 0.
    pub(super) async fn follow(
        &self,
        input: Option<Input>,
        output: &mut Output<'_>,
    ) -> Result<(), CliError> {
        let ended = {
            let mut typing = pin!(OptionFuture::from(input.map(|input| self.type_in(input))));
            let mut signals = pin!(self.signals());
            let mut printing = pin!(self.output(output));
            let mut typed = false;
            loop {
                tokio::select! {
                    exit = &mut printing => break exit?,
                    done = &mut typing, if !typed => {
                        typed = true;
                        if let Some(Err(error)) = done {
                            // It would wait for input that never comes.
                            self.order("cancel", &Value::Null).await?;
                            return Err(error);
                        }
                    }
                    failed = &mut signals => failed?,
                }
            }
        };
        if let Some(why) = ended.get("not_started").and_then(Value::as_str) {
            output.note(&format!("atelier: it could not be started: {why}"))?;
        }
        if ended.get("timed_out").and_then(Value::as_bool) == Some(true) {
            output.note("atelier: it was ended because its time was over")?;
        }
        match exit_code(&ended)? {
            0 => Ok(()),
            code => Err(CliError::Exited { code }),
        }
    }
}

/// A process's exit code as a shell would say it.
pub(super) fn exit_code(exit: &Value) -> Result<u8, CliError> {
    let number = |name: &str| exit.get(name).and_then(Value::as_i64);
    let code = match (number("code"), number("signal"), exit.get("not_started")) {
        (Some(code), _, _) => u8::try_from(code & 0xff).ok(),
        (None, Some(signal), _) => u8::try_from(128 + signal).ok(),
        (None, None, Some(_)) => Some(NOT_STARTED),
        (None, None, None) => None,
    };
    code.ok_or_else(|| CliError::Failed {
        why: format!("the server says no exit code: {}", harmless(&exit.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let code = |exit: Value| exit_code(&exit).ok();
        assert_eq!(code(json!({"code": 3})), Some(3));
        assert_eq!(code(json!({"code": -1})), Some(255));
        assert_eq!(code(json!({"signal": 9, "cancelled": true})), Some(137));
        assert_eq!(code(json!({"not_started": "no such file"})), Some(127));
        assert_eq!(code(json!({})), None);
    }
}
