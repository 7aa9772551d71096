//! A process group, and the session it leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::procfs::session_members;

/// The group of one child. Its number may belong to strangers once the group is empty, so an empty group is never signalled.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    leader: i32,
    empty: Arc<AtomicBool>,
}

impl Group {
    pub(super) fn led_by(leader: i32) -> Self {
        Self { leader, empty: Arc::new(AtomicBool::new(false)) }
    }

    /// Process id of the leader, and number of the group and of the session.
    pub(crate) fn leader(&self) -> i32 {
        self.leader
    }

    /// The reaper calls it while nobody else can have taken the number.
    pub(super) fn leader_reaped(&self) {
        if killpg(Pid::from_raw(self.leader), None) == Err(Errno::ESRCH)
            && session_members(self.leader).is_empty()
        {
            self.empty.store(true, Ordering::Release);
        }
    }

    /// Signals the group. Whether anybody was there.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        !self.empty.load(Ordering::Acquire) && killpg(Pid::from_raw(self.leader), signal).is_ok()
    }

    /// Signals the whole session: a shell's jobs have groups of their own. Whether anybody was there.
    pub(crate) fn signal_session(&self, signal: Signal) -> bool {
        if self.empty.load(Ordering::Acquire) {
            return false;
        }
        let mut there = killpg(Pid::from_raw(self.leader), signal).is_ok();
        for member in session_members(self.leader) {
            if member.group != self.leader {
                there |= kill(Pid::from_raw(member.pid), signal).is_ok();
            }
        }
        if !there {
            self.empty.store(true, Ordering::Release);
        }
        there
    }

    /// Whether a process of the session is left, zombies not counted.
    pub(crate) fn alive(&self) -> bool {
        !self.empty.load(Ordering::Acquire)
            && session_members(self.leader).iter().any(|member| !member.zombie)
    }
}
