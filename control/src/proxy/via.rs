//! How a request reached us: facts of the listener, never of the request.

use std::{fmt, net::SocketAddr};

/// Scheme as the browser sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Main origin and application origins, told apart by the host name.
    Main,
    /// The one origin of shared-origin mode.
    Shared,
}

/// Where a connection came from and what it came in by.
#[derive(Debug, Clone, Copy)]
pub struct Via {
    pub peer: SocketAddr,
    pub scheme: Scheme,
    pub role: Role,
}
