//! How entries lie in the database.

use prost::Message;

use crate::{
    entry::{Digest, Entry},
    fs::Stamp,
    index::Known,
};

#[derive(Clone, PartialEq, Message)]
struct Record {
    /// 1 folder, 2 file, 3 link.
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    size: u64,
    #[prost(bytes = "vec", tag = "3")]
    digest: Vec<u8>,
    #[prost(bool, tag = "4")]
    executable: bool,
    #[prost(bytes = "vec", tag = "5")]
    target: Vec<u8>,
    #[prost(sfixed64, tag = "6")]
    mtime_ns: i64,
    #[prost(sfixed64, tag = "7")]
    ctime_ns: i64,
    #[prost(uint64, tag = "8")]
    inode: u64,
    #[prost(uint64, tag = "9")]
    device: u64,
    #[prost(bool, tag = "10")]
    racy: bool,
    /// Of the stamp: that of the entry is agreed with the other side.
    #[prost(bool, tag = "11")]
    stamp_executable: bool,
    #[prost(uint64, tag = "12")]
    stamp_size: u64,
}

fn of(entry: &Entry) -> Record {
    match entry {
        Entry::Folder => Record { kind: 1, ..Record::default() },
        Entry::File { size, digest, executable } => Record {
            kind: 2,
            size: *size,
            digest: digest.0.to_vec(),
            executable: *executable,
            ..Record::default()
        },
        Entry::Link { target } => Record { kind: 3, target: target.to_vec(), ..Record::default() },
    }
}

fn from(record: Record) -> Option<Entry> {
    Some(match record.kind {
        1 => Entry::Folder,
        2 => Entry::File {
            size: record.size,
            digest: Digest(record.digest.try_into().ok()?),
            executable: record.executable,
        },
        3 => Entry::Link { target: record.target.into() },
        _ => return None,
    })
}

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    of(entry).encode_to_vec()
}

/// `None`: written by something else; then it is as if it were not there.
pub(super) fn entry(bytes: &[u8]) -> Option<Entry> {
    Record::decode(bytes).ok().and_then(from)
}

pub(super) fn encode_known(known: &Known) -> Vec<u8> {
    let mut record = of(&known.entry);
    let Stamp { size, mtime_ns, ctime_ns, inode, device, executable } = known.stamp;
    (record.stamp_size, record.stamp_executable) = (size, executable);
    (record.mtime_ns, record.ctime_ns, record.inode, record.device) =
        (mtime_ns, ctime_ns, inode, device);
    record.racy = known.racy;
    record.encode_to_vec()
}

pub(super) fn known(bytes: &[u8]) -> Option<Known> {
    let record = Record::decode(bytes).ok()?;
    let stamp = Stamp {
        size: record.stamp_size,
        mtime_ns: record.mtime_ns,
        ctime_ns: record.ctime_ns,
        inode: record.inode,
        device: record.device,
        executable: record.stamp_executable,
    };
    let racy = record.racy;
    Some(Known { entry: from(record)?, stamp, racy })
}
