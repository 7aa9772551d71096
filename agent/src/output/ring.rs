//! A byte ring that remembers where its bytes came from and when.

use std::collections::VecDeque;

use bytes::Bytes;
use proto::agent::v1::Channel;

/// Origin of a run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub channel: Channel,
    /// Unix time.
    pub at_ms: i64,
    /// How often the entrypoint had been restarted.
    pub restart: u32,
}

/// What a viewer gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes `[from, to)` are no longer kept.
    Gap {
        from: u64,
        to: u64,
    },
    Data {
        offset: u64,
        tag: Tag,
        bytes: Bytes,
    },
}

impl Piece {
    /// Offset after this piece.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::Gap { to, .. } => *to,
            Self::Data { offset, bytes, .. } => offset + bytes.len() as u64,
        }
    }
}

/// Runs shorter than this many milliseconds apart share a tag, so that bytes written one by one stay cheap.
const COALESCE_MS: i64 = 10;
/// Bounds the memory for tags; a run is at least one byte long.
const MOST_RUNS: usize = 16 << 10;

#[derive(Debug)]
struct Run {
    offset: u64,
    length: usize,
    tag: Tag,
}

/// At most `limit` bytes, the newest. Offsets count from the first byte ever appended.
#[derive(Debug)]
pub(super) struct Ring {
    limit: usize,
    bytes: VecDeque<u8>,
    runs: VecDeque<Run>,
    end: u64,
}

impl Ring {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), bytes: VecDeque::new(), runs: VecDeque::new(), end: 0 }
    }

    /// Offset of the oldest byte that is kept.
    pub(super) fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// One past the newest byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn append(&mut self, tag: Tag, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let kept = data.get(data.len().saturating_sub(self.limit)..).unwrap_or_default();
        let skipped = data.len() - kept.len();
        if skipped > 0 {
            self.bytes.clear();
            self.runs.clear();
            self.end += skipped as u64;
        }
        self.evict((self.bytes.len() + kept.len()).saturating_sub(self.limit));
        match self.runs.back_mut() {
            Some(run)
                if run.tag.channel == tag.channel
                    && run.tag.restart == tag.restart
                    && tag.at_ms.saturating_sub(run.tag.at_ms) < COALESCE_MS =>
            {
                run.length += kept.len();
            }
            _ => {
                if self.runs.len() >= MOST_RUNS {
                    let oldest = self.runs.front().map_or(0, |run| run.length);
                    self.evict(oldest);
                }
                self.runs.push_back(Run { offset: self.end, length: kept.len(), tag });
            }
        }
        self.bytes.extend(kept);
        self.end += kept.len() as u64;
    }

    fn evict(&mut self, count: usize) {
        self.bytes.drain(..count);
        let mut left = count;
        while let Some(run) = self.runs.front_mut() {
            if run.length > left {
                run.offset += left as u64;
                run.length -= left;
                return;
            }
            left -= run.length;
            self.runs.pop_front();
        }
    }

    /// What comes at `from`: a gap when it is no longer kept, bytes of one run (at most `limit`), or nothing yet.
    pub(super) fn read(&self, from: u64, limit: usize) -> Option<Piece> {
        let start = self.start();
        if from < start {
            return Some(Piece::Gap { from, to: start });
        }
        if from >= self.end {
            return None;
        }
        let index = self.runs.partition_point(|run| run.offset + run.length as u64 <= from);
        let run = self.runs.get(index)?;
        let within = usize::try_from(from - run.offset).ok()?;
        let length = (run.length - within).min(limit);
        let at = usize::try_from(from - start).ok()?;
        let bytes: Vec<u8> = self.bytes.range(at..at + length).copied().collect();
        Some(Piece::Data { offset: from, tag: run.tag, bytes: bytes.into() })
    }

    /// Offset of the first byte written at or after a time.
    pub(super) fn offset_since(&self, at_ms: i64) -> u64 {
        self.runs.iter().find(|run| run.tag.at_ms >= at_ms).map_or(self.end, |run| run.offset)
    }

    /// Offset where the last `lines` lines begin; an unfinished last line counts as one.
    pub(super) fn offset_of_tail(&self, lines: u32) -> u64 {
        let mut newlines = 0;
        for (index, byte) in self.bytes.iter().enumerate().rev() {
            let last = index + 1 == self.bytes.len();
            if *byte == b'\n' && !last {
                newlines += 1;
                if newlines == lines {
                    return self.start() + index as u64 + 1;
                }
            }
        }
        self.start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(at_ms: i64) -> Tag {
        Tag { channel: Channel::Stdout, at_ms, restart: 0 }
    }

    fn data(ring: &Ring, from: u64) -> (u64, Vec<u8>) {
        match ring.read(from, usize::MAX) {
            Some(Piece::Data { offset, bytes, .. }) => (offset, bytes.to_vec()),
            other => panic!("not data: {other:?}"),
        }
    }

    #[test]
    fn keeps_the_newest_and_says_what_is_gone() {
        let mut ring = Ring::new(4);
        ring.append(tag(0), b"abc");
        ring.append(tag(100), b"def");
        assert_eq!(ring.read(0, 9), Some(Piece::Gap { from: 0, to: 2 }));
        assert_eq!(data(&ring, 2), (2, b"c".to_vec()), "runs are not mixed");
        assert_eq!(data(&ring, 3), (3, b"def".to_vec()));
        assert_eq!(ring.read(6, 9), None);
        ring.append(tag(200), b"0123456789");
        assert_eq!(ring.read(6, 9), Some(Piece::Gap { from: 6, to: 12 }));
        assert_eq!(data(&ring, 12), (12, b"6789".to_vec()));
    }

    #[test]
    fn channels_stay_apart_and_near_writes_share_a_run() {
        let mut ring = Ring::new(100);
        ring.append(tag(0), b"a");
        ring.append(tag(5), b"b");
        ring.append(Tag { channel: Channel::Stderr, ..tag(5) }, b"c");
        assert_eq!(data(&ring, 0), (0, b"ab".to_vec()));
        assert_eq!(data(&ring, 2), (2, b"c".to_vec()));
    }

    #[test]
    fn finds_tail_and_time() {
        let mut ring = Ring::new(100);
        ring.append(tag(0), b"one\ntwo\n");
        ring.append(tag(1_000), b"three\n");
        assert_eq!(ring.offset_of_tail(1), 8);
        assert_eq!(ring.offset_of_tail(2), 4);
        assert_eq!(ring.offset_of_tail(9), 0);
        assert_eq!(ring.offset_since(500), 8);
        assert_eq!(ring.offset_since(2_000), 14);
    }

    #[test]
    fn tags_are_bounded() {
        let mut ring = Ring::new(1 << 20);
        for index in 0..MOST_RUNS as u64 * 2 {
            ring.append(tag(i64::try_from(index).unwrap() * 1_000), b"x");
        }
        assert_eq!(ring.runs.len(), MOST_RUNS);
        assert_eq!(ring.start(), MOST_RUNS as u64);
    }
}
