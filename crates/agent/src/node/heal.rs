//! Keeping the plugin's entry and program in place: looked at whenever their directories change, and now and then.

use super::health::Health;
use super::joined;
use crate::conflist::{InstallError, Installation};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long a change may go unseen if the watch misses it.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a writer of several files is waited for.
const CALM: Duration = Duration::from_millis(50);

/// Installs and heals for ever.
pub async fn heal(installation: Installation, health: Arc<Health>) {
    let installation = Arc::new(installation);
    let changed = Arc::new(Notify::new());
    let directories = [installation.net_dir.clone(), installation.bin_dir.clone()];
    if let Err(error) = watch(directories, changed.clone()) {
        tracing::warn!(%error, "no watch on the CNI directories: they are looked at every {} s", INTERVAL.as_secs());
    }
    let mut last_problem = String::new();
    loop {
        let outcome = once(installation.clone()).await;
        health.installed.store(outcome.is_ok(), Ordering::Relaxed);
        let problem = match outcome {
            Ok(false) => String::new(),
            Ok(true) => {
                health.installs.fetch_add(1, Ordering::Relaxed);
                tracing::info!("the CNI plugin is installed");
                String::new()
            }
            Err(error) => error.to_string(),
        };
        if problem != last_problem && !problem.is_empty() {
            tracing::warn!(%problem, "installing the CNI plugin; tried again");
        }
        last_problem = problem;
        // An elapsed interval is as good a reason to look as a change.
        let _ = timeout(INTERVAL, changed.notified()).await;
        tokio::time::sleep(CALM).await;
    }
}

/// The program first, then the entry that names it.
async fn once(installation: Arc<Installation>) -> Result<bool, InstallError> {
    let work = move || {
        let program = installation.install_program()?;
        Ok(installation.ensure()? || program)
    };
    joined(spawn_blocking(work).await)
}

/// Notifies on every change in the directories, from a thread that waits for them.
fn watch(directories: [PathBuf; 2], changed: Arc<Notify>) -> io::Result<()> {
    let inotify = init(CreateFlags::CLOEXEC)?;
    let flags = WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE;
    for directory in directories {
        std::fs::create_dir_all(&directory)?;
        add_watch(&inotify, &directory, flags)?;
    }
    let wait = move || {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = rustix::fs::inotify::Reader::new(inotify, &mut buffer);
        while reader.next().is_ok() {
            changed.notify_one();
        }
    };
    std::thread::Builder::new().name("cni-watch".into()).spawn(wait)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conflist::Mode;
    use std::fs;

    const LIST: &str = r#"{"name":"n","plugins":[{"type":"bridge"}]}"#;

    /// Other plugins write their configuration anew whenever they start; someone deletes the program.
    #[tokio::test]
    async fn what_others_overwrite_or_delete_is_put_back_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("program"), "#!").unwrap();
        let entry = serde_json::json!({"type": "mesh-agent"});
        let installation = Installation {
            net_dir: path("net.d"),
            bin_dir: path("bin"),
            conf_name: None,
            mode: Mode::Chained,
            entry: entry.as_object().unwrap().clone(),
            program: path("program"),
        };
        let health = Arc::new(Health::default());
        tokio::spawn(heal(installation, health.clone()));
        let list = path("net.d/10-net.conflist");
        let until = async |what: &str, done: &dyn Fn() -> bool| {
            let wait = async {
                while !done() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            assert!(timeout(INTERVAL / 3, wait).await.is_ok(), "{what}");
        };
        until("directories", &|| {
            path("net.d").exists() && path("bin/mesh-agent").exists()
        })
        .await;
        assert!(
            !health.installed.load(Ordering::Relaxed),
            "there is no network yet"
        );
        let healed = || fs::read_to_string(&list).is_ok_and(|text| text.contains("mesh-agent"));
        for _ in 0..2 {
            fs::write(&list, LIST).unwrap();
            until("entry", &healed).await;
        }
        until("readiness", &|| health.installed.load(Ordering::Relaxed)).await;
        fs::remove_file(path("bin/mesh-agent")).unwrap();
        until("program", &|| path("bin/mesh-agent").exists()).await;
    }
}
