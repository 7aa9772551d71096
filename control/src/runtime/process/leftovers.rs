//! Processes of a studio whose agent is gone: found by the studio's id in their environment, which every process of a
//! studio inherits.

use std::{fs, io, time::Duration};

use nix::sys::signal::Signal;

use crate::{domain::ids::StudioId, process_identity::ProcessIdentity};

/// Kills them, and waits until they are gone.
pub(super) async fn end(studio: &StudioId, longest: Duration) -> io::Result<()> {
    let deadline = tokio::time::Instant::now() + longest;
    loop {
        let left = find(studio)?;
        if left.is_empty() {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("processes {} do not end", pids.join(", ")),
            ));
        }
        for process in left {
            process.signal(Signal::SIGKILL)?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn find(studio: &StudioId) -> io::Result<Vec<ProcessIdentity>> {
    let mark = format!("ATELIER_STUDIO_ID={studio}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        // Processes come and go while the list is read, and others' are not for us to see.
        let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            found.extend(ProcessIdentity::of(pid).ok().filter(ProcessIdentity::alive));
        }
    }
    Ok(found)
}
