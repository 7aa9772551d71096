//! A loopback address for every studio.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use super::folder::{self, StudioFolder};
use crate::domain::ids::StudioId;

/// The studio's address: always the same while nobody else has it.
pub(super) fn choose(root: &Path, studio: &StudioId) -> io::Result<IpAddr> {
    let mut taken = BTreeSet::new();
    for other in folder::studios(root)? {
        if let Some(pod) = StudioFolder::new(root.join(other.as_str())).pod() {
            if other == *studio {
                return Ok(pod.placement.listen_address);
            }
            taken.insert(pod.placement.listen_address);
        }
    }
    (0..=u8::MAX)
        .map(|attempt| candidate(studio, attempt))
        .find(|address| !taken.contains(address))
        .ok_or_else(|| io::Error::other("no loopback address is free"))
}

/// In 127.16.0.0 to 127.255.255.255: the beginning of 127/8 is for others.
fn candidate(studio: &StudioId, attempt: u8) -> IpAddr {
    let hash = blake3::hash(format!("{studio}/{attempt}").as_bytes());
    let [b, c, d, ..] = *hash.as_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 16 + b % 240, c, 1 + d % 254))
}
