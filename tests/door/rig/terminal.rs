//! A unit's real service on a real pseudo-terminal, and the host's real session there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tempfile::TempDir;
use threshold_edge::notices::Notices;
use threshold_edge::service::{self, Access, line};
use threshold_edge::state::Shared;
use threshold_host::session::Session;
use threshold_host::session::port::Port;

/// A service that runs on a pseudo-terminal; it ends with this.
pub(crate) struct Terminal {
    folder: TempDir,
    stop: Arc<AtomicBool>,
    served: Option<JoinHandle<()>>,
}

impl Terminal {
    /// The service of that unit.
    pub(crate) fn of(shared: Shared) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door");
        let (line, _) = line::open(&format!("pty:{}", path.display())).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let notices = Notices::to(Box::new(io::sink()));
        let served =
            service::spawn(line, shared, Access::default(), notices, Arc::clone(&stop)).unwrap();
        Self { folder, stop, served: Some(served) }
    }

    /// A host that greeted it there.
    pub(crate) fn greet(&self) -> Session<Port> {
        let path = self.folder.path().join("door");
        Session::greet(Port::open(path.to_str().unwrap()).unwrap(), "t").unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.served.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the service panicked");
    }
}
