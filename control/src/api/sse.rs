//! Server-sent events: numbered, so that a client goes on after the last one that it saw.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::HeaderMap,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;

use super::problem::Result;
use crate::app::services::Services;

/// The number after which a client wants to go on.
pub(super) fn after(headers: &HeaderMap, query: Option<u64>) -> u64 {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    last.or(query).unwrap_or(0)
}

/// One event.
pub(super) fn event<T: Serialize>(name: &str, id: Option<u64>, data: &T) -> Event {
    let event = Event::default().event(name).json_data(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event can't be written as JSON");
        Event::default().comment("an event was lost")
    });
    match id {
        Some(id) => event.id(id.to_string()),
        None => event,
    }
}

/// A stream of events as an answer; an error is its last event, `error`, with what a problem says. It ends with the server:
/// clients come back to the next one.
pub(super) fn answer<E>(
    services: &Services,
    events: E,
) -> Sse<impl Stream<Item = std::result::Result<Event, Infallible>> + use<E>>
where
    E: Stream<Item = Result<Event>> + Send + 'static,
{
    let events = stream::unfold(Some(Box::pin(events)), |events| async move {
        let mut events = events?;
        Some(match events.next().await? {
            Ok(event) => (Ok(event), Some(events)),
            Err(error) => (Ok(event("error", None, error.details())), None),
        })
    });
    let events = events.take_until(services.shutdown.clone().cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
