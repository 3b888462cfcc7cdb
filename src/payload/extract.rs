//! Programs out of the executable and into files.

use super::{CorruptError, Program};
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Written,
    /// It was there already, the same.
    Same,
    /// Another file was there.
    Replaced,
}

/// Why a program is not in its file. Files that are there stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The executable is damaged.
    #[error(transparent)]
    Corrupt(#[from] CorruptError),
    /// Another file has the name.
    #[error("`{}` is another file and is not replaced", .0.display())]
    Foreign(PathBuf),
    /// A file or folder could not be read or written.
    #[error("cannot write to `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> ExtractError {
    move |source| ExtractError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Writes programs into a folder, under their names. Another file is replaced only if `force` says so; all are looked at
/// before the first is written, and each is there either whole or not at all.
///
/// # Errors
/// If a program is damaged, another file stands in its place, or the folder cannot be written to.
pub fn extract(
    programs: &[Program],
    folder: &Path,
    force: bool,
) -> Result<Vec<(PathBuf, Outcome)>, ExtractError> {
    let mut wanted = Vec::new();
    for program in programs {
        let path = folder.join(program.role.name());
        let outcome = compare(program, &path)?;
        if outcome == Outcome::Replaced && !force {
            return Err(ExtractError::Foreign(path));
        }
        wanted.push((path, outcome, program.bytes()?));
    }
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let mut done = Vec::new();
    for (path, outcome, bytes) in wanted {
        if outcome != Outcome::Same || !is_executable(&path) {
            write(folder, &path, &bytes)?;
        }
        done.push((path, outcome));
    }
    Ok(done)
}

fn compare(program: &Program, path: &Path) -> Result<Outcome, ExtractError> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Written),
        about => about.map_err(io_error(path))?,
    };
    if about.is_dir() {
        return Err(ExtractError::Foreign(path.to_owned()));
    }
    // A link is replaced as a link: what it leads to is not ours.
    if !about.is_file() || about.len() != program.size {
        return Ok(Outcome::Replaced);
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io_error(path))?;
    file.take(program.size)
        .read_to_end(&mut bytes)
        .map_err(io_error(path))?;
    let same = oci::Digest::of(&bytes).hexadecimal() == program.sha256;
    Ok(if same { Outcome::Same } else { Outcome::Replaced })
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), ExtractError> {
    let mut file = tempfile::Builder::new()
        .prefix(".mesh-migrate-")
        .tempfile_in(folder)
        .map_err(io_error(folder))?;
    let written = file.write_all(bytes).and_then(|()| {
        make_executable(file.as_file())?;
        file.as_file().sync_all()
    });
    written.map_err(io_error(path))?;
    file.persist(path).map_err(|error| io_error(path)(error.error))?;
    Ok(())
}

#[cfg(unix)]
fn make_executable(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|about| about.permissions().mode() & 0o777 == 0o755)
}

#[cfg(not(unix))]
fn make_executable(_: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    fn programs() -> [Program; 2] {
        [
            Program::of(Role::Proxy, b"a proxy"),
            Program::of(Role::Agent, b"an agent"),
        ]
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn outcomes(folder: &Path, force: bool) -> Result<Vec<Outcome>, ExtractError> {
        Ok(extract(&programs(), folder, force)?
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect())
    }

    #[test]
    fn files_are_written_once_and_can_be_run() {
        use Outcome::{Same, Written};
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new/folder");
        assert_eq!(outcomes(&folder, false).unwrap(), [Written, Written]);
        assert_eq!(fs::read(folder.join("mesh-agent")).unwrap(), b"an agent");
        assert!(is_executable(&folder.join("mesh-proxy")));
        assert_eq!(names(&folder), ["mesh-agent", "mesh-proxy"]);
        assert_eq!(outcomes(&folder, false).unwrap(), [Same, Same]);
    }

    #[test]
    fn another_file_stays_unless_forced_and_then_none_is_written() {
        let root = tempfile::tempdir().unwrap();
        let other = root.path().join("mesh-agent");
        fs::write(&other, "another").unwrap();
        assert!(matches!(outcomes(root.path(), false), Err(ExtractError::Foreign(path)) if path == other));
        assert_eq!(names(root.path()), ["mesh-agent"]);
        assert_eq!(fs::read(&other).unwrap(), b"another");
        assert_eq!(
            outcomes(root.path(), true).unwrap(),
            [Outcome::Written, Outcome::Replaced]
        );
        assert_eq!(fs::read(&other).unwrap(), b"an agent");
        fs::remove_file(&other).unwrap();
        fs::create_dir(&other).unwrap();
        assert!(matches!(
            outcomes(root.path(), true),
            Err(ExtractError::Foreign(_))
        ));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_link_leads_to_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("target");
        fs::write(&target, "a proxy").unwrap();
        std::os::unix::fs::symlink(&target, root.path().join("mesh-proxy")).unwrap();
        assert!(matches!(
            outcomes(root.path(), false),
            Err(ExtractError::Foreign(_))
        ));
        outcomes(root.path(), true).unwrap();
        assert!(!root.path().join("mesh-proxy").is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"a proxy");
    }

    #[test]
    fn a_damaged_program_writes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let [proxy, agent] = programs();
        let damaged = Program {
            sha256: proxy.sha256,
            ..agent
        };
        assert!(matches!(
            extract(&[proxy, damaged], root.path(), false),
            Err(ExtractError::Corrupt(_))
        ));
        assert!(names(root.path()).is_empty());
    }
}
