//! Server-sent events, as a client reads them: a connection that is lost is made anew, and goes on after the last event.

use std::{collections::VecDeque, time::Duration};

use reqwest::{Method, Response, header};
use serde_json::Value;

use super::{
    client::{self, Client},
    error::CliError,
};

/// A server that says nothing for so long, not even that it is there, is gone.
pub(super) const SILENCE: Duration = Duration::from_mins(1);
/// Waits before each new attempt; together about half a minute.
pub(super) const AGAIN_MS: [u64; 12] =
    [100, 200, 500, 1000, 2000, 3000, 3000, 4000, 4000, 4000, 4000, 4000];
/// Most bytes of one event.
const EVENT_LIMIT_BYTES: usize = 16 << 20;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub name: String,
    pub data: String,
}

impl Event {
    pub(super) fn json(&self) -> Result<Value, CliError> {
        Ok(serde_json::from_str(&self.data)?)
    }
}

/// The events of one address.
pub(super) struct Events<'a> {
    client: &'a Client,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    response: Option<Response>,
    parser: Parser,
    /// Attempts since the last event.
    attempts: usize,
    opened: bool,
}

impl<'a> Events<'a> {
    pub(super) fn new(client: &'a Client, path: &[&str]) -> Self {
        Self {
            client,
            path: path.iter().map(|&part| part.to_owned()).collect(),
            query: Vec::new(),
            response: None,
            parser: Parser::default(),
            attempts: 0,
            opened: false,
        }
    }

    pub(super) fn query(mut self, query: Vec<(&'static str, String)>) -> Self {
        self.query = query;
        self
    }

    /// The next event. The caller knows which is the last: a stream that merely ends is taken up again.
    pub(super) async fn next(&mut self) -> Result<Event, CliError> {
        loop {
            if let Some(event) = self.next_or_end().await? {
                return Ok(event);
            }
        }
    }

    /// The next event, or `None` each time that the server ends the stream in order. Calling again takes it up again.
    pub(super) async fn next_or_end(&mut self) -> Result<Option<Event>, CliError> {
        let mut lost = String::from("the server ends the stream");
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                if event.name != "error" {
                    self.attempts = 0;
                    return Ok(Some(event));
                }
                // Such as an agent that has lost its way; it may come back.
                lost = event.data;
                self.response = None;
            }
            let Some(response) = &mut self.response else {
                self.connect(&lost).await?;
                continue;
            };
            match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.parser.push(&bytes)?,
                Ok(Ok(None)) => {
                    self.response = None;
                    return Ok(None);
                }
                Ok(Err(error)) => {
                    lost = error.to_string();
                    self.response = None;
                }
                Err(_) => {
                    lost = format!("the server is silent for {} s", SILENCE.as_secs());
                    self.response = None;
                }
            }
        }
    }

    /// One attempt. An error here is final: the first connection failed, the server refuses, or it is away for too long.
    async fn connect(&mut self, lost: &str) -> Result<(), CliError> {
        if self.opened {
            let Some(wait) = AGAIN_MS.get(self.attempts) else {
                return Err(CliError::Failed { why: format!("the server is lost: {lost}") });
            };
            self.attempts += 1;
            tokio::time::sleep(Duration::from_millis(*wait)).await;
        }
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut request = self.client.request(Method::GET, &path).query(&self.query);
        request = request.header(header::ACCEPT, "text/event-stream");
        if let Some(last) = &self.parser.last_id {
            request = request.header("last-event-id", last);
        }
        self.parser.forget_half();
        match client::send(request).await {
            Ok(response) => {
                self.response = Some(response);
                self.opened = true;
                Ok(())
            }
            Err(CliError::Unreachable(_)) if self.opened => Ok(()),
            Err(CliError::Refused { status, .. }) if self.opened && status >= 500 => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Bytes to events, in whatever pieces they come (WHATWG HTML, 9.2.6; lines end with LF or CRLF).
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    name: String,
    data: Option<String>,
    /// Of the event that is being read; it counts when that is whole.
    id: Option<String>,
    last_id: Option<String>,
    events: VecDeque<Event>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.line_ends(&String::from_utf8_lossy(&line));
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > EVENT_LIMIT_BYTES {
                return Err(CliError::Failed { why: "an event of the server is too large".into() });
            }
        }
        Ok(())
    }

    fn line_ends(&mut self, line: &str) {
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            self.last_id = self.id.take().or(self.last_id.take());
            if let Some(data) = self.data.take() {
                let name = if name.is_empty() { "message".to_owned() } else { name };
                self.events.push_back(Event { name, data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" => self.id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments, and what is not known.
            _ => {}
        }
    }

    /// What a lost connection had begun to say is said again.
    fn forget_half(&mut self) {
        self.line.clear();
        self.name.clear();
        self.id = None;
        self.data = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pieces: &[&[u8]]) -> Parser {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.push(piece).unwrap();
        }
        parser
    }

    #[test]
    fn events_are_whole_however_they_are_cut() {
        let text: &[u8] = b": hello\n\nevent: step\r\nid: 7\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata:x\n\nid: 8\ndata: half";
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        for cut in 0..text.len() {
            let (one, two) = text.split_at(cut);
            let mut parser = parsed(&[one, two]);
            let wanted = [event("step", "{\"a\":\n1}"), event("message", "x")];
            assert_eq!(parser.events, wanted, "cut at {cut}");
            assert_eq!(parser.last_id.as_deref(), Some("7"), "8 was not seen whole");
            parser.forget_half();
            parser.push(b"data: y\n\n").unwrap();
            assert_eq!(parser.events.back(), Some(&event("message", "y")));
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; EVENT_LIMIT_BYTES / 2];
        assert!(parser.push(&piece).is_ok());
        assert!(parser.push(&piece).and_then(|()| parser.push(&piece)).is_err());
    }
}
