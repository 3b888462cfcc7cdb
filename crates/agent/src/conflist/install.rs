//! The plugin's entry and its program on the node: put in place, healed, taken away.

use super::edit::{self, EditError};
use serde_json::{Map, Value};
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Mode of a configuration file that was not there before.
const FILE_MODE: u32 = 0o600;
/// Mode of the program.
const PROGRAM_MODE: u32 = 0o755;

/// Why the plugin could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A configuration cannot be edited.
    #[error("{}: {source}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EditError,
    },
    /// No plugin makes the pods' networks yet.
    #[error("{}: no configuration of another CNI plugin yet", .0.display())]
    NoPrimary(PathBuf),
    /// The agent's own file would not be the first, so the runtime would not read it.
    #[error("{} does not come before {}", own.display(), first.display())]
    NotFirst {
        /// The agent's file.
        own: PathBuf,
        /// The file that the runtime reads.
        first: PathBuf,
    },
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> InstallError {
    move |source| InstallError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Where the entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// At the end of the list that is there.
    Chained,
    /// At the end of a copy in a file of the agent's own, which comes first. It outlives a reboot, whatever the other
    /// plugin writes then.
    Owned(String),
}

/// What is to be installed, and where.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The directory of configurations.
    pub net_dir: PathBuf,
    /// The directory of programs.
    pub bin_dir: PathBuf,
    /// The one configuration to be used; the first one by name if none is given.
    pub conf_name: Option<String>,
    /// Where the entry stands.
    pub mode: Mode,
    /// The entry. Its `type` names the program.
    pub entry: Map<String, Value>,
    /// The program to be copied.
    pub program: PathBuf,
}

/// A configuration of another plugin.
struct Primary {
    path: PathBuf,
    text: String,
}

impl Installation {
    fn kind(&self) -> &str {
        self.entry.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    fn installed_program(&self) -> PathBuf {
        self.bin_dir.join(self.kind())
    }

    /// Copies the program, unless the same bytes are there. Whether anything changed.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn install_program(&self) -> Result<bool, InstallError> {
        let target = self.installed_program();
        let wanted = fs::read(&self.program).map_err(io_error(&self.program))?;
        if fs::read(&target).is_ok_and(|found| found == wanted) {
            return Ok(false);
        }
        write(&target, &wanted, PROGRAM_MODE)?;
        Ok(true)
    }

    /// Puts the entry in place, or heals it. Whether anything changed.
    ///
    /// # Errors
    /// If there is no other plugin's configuration yet, or a file cannot be read or written.
    pub fn ensure(&self) -> Result<bool, InstallError> {
        let primary = self.primary()?;
        let edited = edit::insert(&primary.text, &self.entry).map_err(|source| InstallError::Edit {
            path: primary.path.clone(),
            source,
        })?;
        let target = self.target(&primary.path)?;
        if fs::read_to_string(&target).is_ok_and(|found| found == edited) {
            return Ok(false);
        }
        let mode = fs::metadata(&primary.path).map_or(FILE_MODE, |meta| meta.permissions().mode() & 0o777);
        write(&target, edited.as_bytes(), mode)?;
        if self.mode == Mode::Chained && target != primary.path {
            // The single configuration stands in the list now; left beside it, it would be read in its place.
            fs::remove_file(&primary.path).map_err(io_error(&primary.path))?;
        }
        Ok(true)
    }

    /// Takes the entry out of every configuration, and only then removes the program: a configuration that names a program
    /// which is gone keeps pods from starting and from ending.
    ///
    /// # Errors
    /// If a file cannot be written or removed. The program stays in that case.
    pub fn uninstall(&self) -> Result<(), InstallError> {
        if let Mode::Owned(name) = &self.mode {
            remove_file(&self.net_dir.join(name))?;
        }
        for path in self.configurations()? {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let Ok(edited) = edit::remove(&text, self.kind()) else {
                continue;
            };
            if edited != text {
                let mode = fs::metadata(&path).map_or(FILE_MODE, |meta| meta.permissions().mode() & 0o777);
                write(&path, edited.as_bytes(), mode)?;
            }
        }
        remove_file(&self.installed_program())
    }

    fn target(&self, primary: &Path) -> Result<PathBuf, InstallError> {
        match &self.mode {
            Mode::Chained => Ok(primary.with_extension("conflist")),
            Mode::Owned(name) => {
                let own = self.net_dir.join(name);
                if own.as_path() < primary {
                    Ok(own)
                } else {
                    Err(InstallError::NotFirst {
                        own,
                        first: primary.to_owned(),
                    })
                }
            }
        }
    }

    /// The configuration of others that the runtime reads: the first that is whole.
    fn primary(&self) -> Result<Primary, InstallError> {
        for path in self.configurations()? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let own = matches!(&self.mode, Mode::Owned(own) if own == name);
            if own
                || self
                    .conf_name
                    .as_deref()
                    .is_some_and(|wanted| !same_file(wanted, name))
            {
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            if edit::insert(&text, &self.entry).is_ok() {
                return Ok(Primary { path, text });
            }
        }
        Err(InstallError::NoPrimary(self.net_dir.clone()))
    }

    /// The files that a runtime would read, by name.
    fn configurations(&self) -> Result<Vec<PathBuf>, InstallError> {
        let entries = match fs::read_dir(&self.net_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error(&self.net_dir))?,
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = paths
            .filter(|path| {
                path.extension()
                    .is_some_and(|end| end == "conf" || end == "conflist")
            })
            .collect();
        paths.sort();
        Ok(paths)
    }
}

/// Whether a file is the wanted one, also after it became a list.
fn same_file(wanted: &str, name: &str) -> bool {
    wanted == name
        || wanted
            .strip_suffix(".conf")
            .is_some_and(|stem| name.strip_suffix(".conflist") == Some(stem))
}

/// Writes a file so that it is either whole or as before.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), InstallError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(io_error(dir))?;
    let mut file = tempfile::Builder::new()
        .prefix(".mesh-agent-")
        .tempfile_in(dir)
        .map_err(io_error(dir))?;
    let written = file
        .write_all(content)
        .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.as_file().sync_all());
    written.map_err(io_error(path))?;
    file.persist(path).map_err(|error| io_error(path)(error.error))?;
    Ok(())
}

fn remove_file(path: &Path) -> Result<(), InstallError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Node {
        dir: tempfile::TempDir,
        installation: Installation,
    }

    fn node(mode: Mode) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("net.d")).unwrap();
        fs::write(path("program"), "#!program").unwrap();
        let entry = serde_json::json!({"type": "mesh-agent", "name": "mesh-agent"});
        let installation = Installation {
            net_dir: path("net.d"),
            bin_dir: path("bin"),
            conf_name: None,
            mode,
            entry: entry.as_object().unwrap().clone(),
            program: path("program"),
        };
        Node { dir, installation }
    }

    impl Node {
        fn put(&self, name: &str, text: &str) {
            fs::write(self.installation.net_dir.join(name), text).unwrap();
        }

        fn files(&self) -> Vec<String> {
            let read = fs::read_dir(&self.installation.net_dir).unwrap();
            let mut names: Vec<_> = read
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.installation.net_dir.join(name)).unwrap()
        }

        fn has_program(&self) -> bool {
            self.dir.path().join("bin/mesh-agent").exists()
        }
    }

    const LIST: &str = "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"bridge\"}]}";
    const ENTRY: &str = "{\"type\":\"mesh-agent\",\"name\":\"mesh-agent\"}";

    #[test]
    fn the_first_whole_configuration_is_edited_and_keeps_its_mode() {
        let node = node(Mode::Chained);
        assert!(matches!(
            node.installation.ensure(),
            Err(InstallError::NoPrimary(_))
        ));
        node.put("00-readme.txt", "x");
        node.put("05-broken.conflist", "{");
        node.put("10-net.conflist", LIST);
        node.put("20-other.conflist", LIST);
        let path = node.installation.net_dir.join("10-net.conflist");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(node.installation.ensure().unwrap());
        assert_eq!(
            node.text("10-net.conflist"),
            LIST.replace("]", &format!(",{ENTRY}]"))
        );
        assert_eq!(node.text("20-other.conflist"), LIST);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!node.installation.ensure().unwrap(), "nothing to do");
        // The other plugin writes its file anew.
        node.put("10-net.conflist", LIST);
        assert!(node.installation.ensure().unwrap());
        assert_eq!(
            node.files().len(),
            4,
            "no temporary file is left: {:?}",
            node.files()
        );
    }

    #[test]
    fn a_single_configuration_becomes_a_list() {
        let mut node = node(Mode::Chained);
        node.put("10-net.conf", r#"{"type":"bridge"}"#);
        node.installation.conf_name = Some("10-net.conf".into());
        assert!(node.installation.ensure().unwrap());
        assert_eq!(node.files(), ["10-net.conflist"]);
        assert!(!node.installation.ensure().unwrap());
        node.installation.uninstall().unwrap();
        assert!(!node.text("10-net.conflist").contains("mesh-agent"));
        assert!(node.text("10-net.conflist").contains(r#"{"type":"bridge"}"#));
    }

    /// istio/istio.io#16748: pods could neither start nor end while the configuration named a program that was gone.
    #[test]
    fn issue_16748_the_entry_goes_first_and_the_program_last() {
        let node = node(Mode::Chained);
        node.put("10-net.conflist", LIST);
        assert!(node.installation.install_program().unwrap());
        assert!(!node.installation.install_program().unwrap());
        assert!(node.installation.ensure().unwrap());
        // The entry cannot be taken out: its directory became a file's place.
        let blocked = Installation {
            net_dir: node.dir.path().join("program"),
            ..node.installation.clone()
        };
        assert!(blocked.uninstall().is_err());
        assert!(
            node.has_program(),
            "the program outlives a failed removal of the entry"
        );
        node.installation.uninstall().unwrap();
        assert_eq!(node.text("10-net.conflist"), LIST);
        assert!(!node.has_program());
        node.installation.uninstall().unwrap();
    }

    /// istio/istio#57316: the owned file must be there after a reboot, follow the primary, and go with the agent.
    #[test]
    fn issue_57316_an_owned_configuration_comes_first_follows_the_primary_and_is_cleaned_up() {
        let node = node(Mode::Owned("02-mesh-agent.conflist".into()));
        node.put("10-net.conflist", LIST);
        assert!(node.installation.ensure().unwrap());
        assert_eq!(node.text("10-net.conflist"), LIST, "the primary is left alone");
        assert_eq!(node.files()[0], "02-mesh-agent.conflist");
        // Reboot: the primary plugin writes another configuration; the owned one is still there, and follows.
        let changed = LIST.replace("bridge", "ptp");
        node.put("10-net.conflist", &changed);
        assert!(node.installation.ensure().unwrap());
        assert!(node.text("02-mesh-agent.conflist").contains("ptp"));
        node.installation.uninstall().unwrap();
        assert_eq!(node.files(), ["10-net.conflist"]);
        node.put("01-early.conflist", LIST);
        assert!(matches!(
            node.installation.ensure(),
            Err(InstallError::NotFirst { .. })
        ));
    }
}
