//! Addresses of studios' applications, for browsers.

use super::{ids::StudioId, studio::Studio};

/// How applications' own origins are named in an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppUrls {
    /// `http` or `https`.
    pub scheme: String,
    /// What comes behind `<port>--<id>.`, such as `localhost:7070`.
    pub domain: String,
}

impl AppUrls {
    pub fn origin(&self, studio: &StudioId, port: u16) -> String {
        format!("{}://{port}--{studio}.{}", self.scheme, self.domain)
    }

    /// With the application's prefix and what it opens first (`landing`, such as `lab`).
    pub fn url(&self, studio: &Studio, port: u16, landing: &str) -> String {
        let origin = self.origin(&studio.id, port);
        let landing = landing.trim_start_matches('/');
        format!("{origin}/code-studios/{}/{}/{port}/{landing}", studio.project, studio.id)
    }
}
