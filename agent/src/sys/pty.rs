//! Pseudo-terminals.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// Both ends of a new terminal, closed on exec.
#[derive(Debug)]
pub(crate) struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl Size {
    /// `None` for sizes that no terminal has: 0 and more than 65,535.
    pub(crate) fn new(columns: u32, rows: u32) -> Option<Self> {
        let columns = u16::try_from(columns).ok().filter(|n| *n > 0)?;
        let rows = u16::try_from(rows).ok().filter(|n| *n > 0)?;
        Some(Self { columns, rows })
    }

    /// Resizes the terminal; its foreground group gets SIGWINCH when the size differs.
    pub(crate) fn apply(self, terminal: impl AsFd) -> io::Result<()> {
        let size = Winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(terminal, size)?)
    }
}

impl Pty {
    /// Opens the slave through the master, so that it works where `/dev/pts` is mounted from elsewhere.
    pub(crate) fn open(size: Size) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        size.apply(&master)?;
        Ok(Self { master, slave })
    }
}
