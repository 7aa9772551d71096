//! Server-sent events of an answer, one after the other.

use reqwest::Response;
use serde_json::Value;

pub struct Events {
    answer: Response,
    text: String,
}

impl Events {
    pub const fn new(answer: Response) -> Self {
        Self { answer, text: String::new() }
    }

    /// Its name and data; `None`: the stream is over, or broken.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name));
                    found.map(|text| text.trim_start().to_owned())
                };
                match (field("event:"), field("data:")) {
                    (Some(name), Some(data)) => {
                        return Some((name, serde_json::from_str(&data).unwrap()));
                    }
                    // A sign of life.
                    _ => continue,
                }
            }
            let bytes = self.answer.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}
