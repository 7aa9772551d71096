//! What an installation leaves that no image needs, or that is this machine's; and a user for containers.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
};

/// Folders that stay, empty: caches, logs, and what a container mounts there.
const EMPTIED: [&str; 8] =
    ["dev", "proc", "run", "sys", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/log"];
const REMOVED: [&str; 6] = [
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/status-old",
];
/// Of the machine that the image was made on; containers get their own.
const THIS_MACHINE_S: [&str; 3] = ["etc/hostname", "etc/machine-id", "etc/resolv.conf"];
/// See `places::USER`. Any other user of group 0 may use the folder as well.
const USER: &str = "dataiku:x:1000:0:Studio:/home/dataiku:/bin/bash\n";
const HOME: &str = "home/dataiku";

pub(super) fn tidy(tree: &Path) -> io::Result<()> {
    for folder in EMPTIED {
        let folder = tree.join(folder);
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    for file in REMOVED {
        if_there(fs::remove_file(tree.join(file)))?;
    }
    for file in THIS_MACHINE_S {
        let file = tree.join(file);
        if file.symlink_metadata().is_ok() {
            fs::remove_file(&file)?;
            fs::write(&file, "")?;
        }
    }
    OpenOptions::new().append(true).open(tree.join("etc/passwd"))?.write_all(USER.as_bytes())?;
    let home = tree.join(HOME);
    fs::create_dir_all(&home)?;
    chown(&home, Some(1000), Some(0))?;
    fs::set_permissions(home, fs::Permissions::from_mode(0o775))
}

fn if_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn nothing_of_the_machine_stays_and_nothing_of_the_system_goes() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        for file in [
            "var/log/apt/history.log",
            "var/lib/apt/lists/x",
            "dev/null",
            "etc/resolv.conf",
            "etc/hostname",
            "etc/passwd",
            "var/lib/dpkg/status",
            "var/lib/dpkg/status-old",
            "usr/bin/python3",
        ] {
            let file = tree.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x\n").unwrap();
        }
        super::tidy(tree).unwrap();
        let text = |file: &str| fs::read_to_string(tree.join(file)).ok();
        for gone in ["var/log/apt", "var/lib/apt/lists/x", "dev/null", "var/lib/dpkg/status-old"] {
            assert!(!tree.join(gone).exists(), "{gone}");
        }
        for kept in ["var/log", "dev", "usr/bin/python3", "var/lib/dpkg/status", "home/dataiku"] {
            assert!(tree.join(kept).exists(), "{kept}");
        }
        assert_eq!((text("etc/resolv.conf"), text("etc/machine-id")), (Some(String::new()), None));
        assert_eq!(text("etc/passwd").unwrap(), format!("x\n{}", super::USER));
    }
}
