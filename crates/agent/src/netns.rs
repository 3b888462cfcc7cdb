//! Network namespaces: which one is which, and work inside one.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

/// What tells one network namespace from another: device and inode of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

/// An open network namespace.
#[derive(Debug)]
pub struct Netns {
    file: OwnedFd,
    id: NetnsId,
}

impl Netns {
    /// Opens a namespace by its file, such as `/proc/7/ns/net` or `/var/run/netns/cni-1`.
    ///
    /// # Errors
    /// If the file is not to be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let id = NetnsId {
            device: meta.dev(),
            inode: meta.ino(),
        };
        Ok(Self {
            file: file.into(),
            id,
        })
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// Runs `work` in this namespace, on a thread of its own; programs that it starts run there, too.
    ///
    /// # Errors
    /// If the namespace is not to be entered, or the thread did not start or end well.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let inside = || {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name("netns".into())
                .spawn_scoped(scope, inside)?;
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("work inside a network namespace panicked")))
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether the thread's network namespace has IPv6.
#[must_use]
pub fn has_ipv6() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv6/conf/lo/disable_ipv6").is_ok_and(|text| text.trim() == "0")
}
