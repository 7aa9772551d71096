//! What follows from the end of a process.

use proto::agent::v1::{Exit, RestartPolicy, exit::How};

/// `exited with code 1`, `was ended by signal 9`.
pub(super) fn describe(exit: &Exit) -> String {
    match &exit.how {
        Some(How::Code(code)) => format!("exited with code {code}"),
        Some(How::Signal(signal)) => match nix::sys::signal::Signal::try_from(*signal) {
            Ok(name) => format!("was ended by {name}"),
            Err(_) => format!("was ended by signal {signal}"),
        },
        Some(How::NotStarted(reason)) => format!("did not start: {reason}"),
        None => "ended".to_owned(),
    }
}

/// Whether the policy wants another start.
pub(super) fn restarts(policy: RestartPolicy, exit: &Exit) -> bool {
    match policy {
        RestartPolicy::Unspecified | RestartPolicy::Always => true,
        RestartPolicy::OnFailure => exit.how != Some(How::Code(0)),
        RestartPolicy::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let exit = |how| Exit { how: Some(how), ..Exit::default() };
        assert!(restarts(RestartPolicy::Always, &exit(How::Code(0))));
        assert!(!restarts(RestartPolicy::OnFailure, &exit(How::Code(0))));
        assert!(restarts(RestartPolicy::OnFailure, &exit(How::Signal(9))));
        assert!(!restarts(RestartPolicy::Never, &exit(How::Code(1))));
        assert_eq!(describe(&exit(How::Signal(9))), "was ended by SIGKILL");
    }
}
