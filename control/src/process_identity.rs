//! Which process a number stands for: numbers are used again, the time of the start tells processes apart.

use std::{fs, io, path::Path};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// A process, for as long as the machine is not started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Clock ticks from the machine's start until the process began.
    started: u64,
    /// Of the machine.
    boot_id: String,
}

impl ProcessIdentity {
    /// The identity of a process that is there.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, started: started(pid)?, boot_id: boot_id()? })
    }

    /// The identity that a file holds; `None` when there is no such file or it is not whole.
    pub fn load(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Whether that process, and no later one of the same number, is there and not a zombie.
    pub fn alive(&self) -> bool {
        boot_id().is_ok_and(|boot_id| boot_id == self.boot_id)
            && started(self.pid).is_ok_and(|started| started == self.started)
            && state(self.pid).is_ok_and(|state| state != 'Z')
    }

    /// Signals the process; well when it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.alive() { gone_is_well(kill(Pid::from_raw(self.pid), signal)) } else { Ok(()) }
    }

    /// Signals the process group that it leads; well when it is gone.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        if self.alive() { gone_is_well(killpg(Pid::from_raw(self.pid), signal)) } else { Ok(()) }
    }
}

fn gone_is_well(result: nix::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Fields of `/proc/<pid>/stat` after the name, which may hold anything but ends with the last `)`.
fn stat(pid: i32) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?;
    Ok(rest.split_whitespace().map(ToOwned::to_owned).collect())
}

fn state(pid: i32) -> io::Result<char> {
    stat(pid)?
        .first()
        .and_then(|field| field.chars().next())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn started(pid: i32) -> io::Result<u64> {
    // starttime is field 22 of proc(5), the 20th after the name.
    stat(pid)?
        .get(19)
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_used_again_is_another_process() {
        let me = ProcessIdentity::of(std::process::id().cast_signed()).unwrap();
        assert!(me.alive());
        let another = ProcessIdentity { started: me.started + 1, ..me.clone() };
        assert!(!another.alive());
        let before_reboot = ProcessIdentity { boot_id: "other".into(), ..me };
        assert!(!before_reboot.alive());
        before_reboot.signal(Signal::SIGKILL).unwrap();
    }
}
