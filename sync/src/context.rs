//! What a run needs from its surroundings.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    clock::{Clock, SystemClock},
    error::Error,
    fs::{FileSystem, RealFileSystem},
    meter::Meter,
    watch::Watch,
};

/// Asks a run to end. Cheap to clone. It ends with [`Error::Cancelled`] before its next file or block; what is done stays done.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Surroundings of a run.
#[derive(Clone)]
pub struct Context {
    pub clock: Arc<dyn Clock>,
    pub cancel: CancelFlag,
    pub fs: Arc<dyn FileSystem>,
    /// Of this side's root, for the memory in this side's state folder. Without one, each run looks at everything.
    pub watch: Option<Arc<Watch>>,
    /// How far the run is; each run has its own.
    pub meter: Meter,
}

impl Context {
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            cancel: CancelFlag::default(),
            fs: Arc::new(RealFileSystem),
            watch: None,
            meter: Meter::default(),
        }
    }
}
