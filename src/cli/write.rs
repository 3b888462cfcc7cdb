//! New files: whole or not at all, and never over a file of someone else.

use super::CliError;
use super::in_place::FileEdit;
use crate::convert::Change;
use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

/// The label by which the program knows its own objects.
const MANAGED_BY: &[&str] = &["metadata", "labels", "app.kubernetes.io/managed-by"];

/// Writes every new object to `NAMESPACE/KIND-NAME.yaml`. All files are looked at before the first is written.
/// Gives the files of earlier runs that are left over.
pub fn objects(folder: &Path, changes: &[Change]) -> Result<Vec<PathBuf>, CliError> {
    let files: Vec<(PathBuf, &str)> = changes
        .iter()
        .map(|change| (folder.join(file_name(change)), change.after.text()))
        .collect();
    for (path, _) in &files {
        if path.symlink_metadata().is_ok() && !is_ours(path) {
            return Err(CliError::Foreign(path.clone()));
        }
    }
    // All beside their places first, so that a full disk leaves everything as it was.
    let mut staged = Vec::new();
    for (path, text) in &files {
        let parent = path.parent().unwrap_or(folder);
        let mut file = std::fs::create_dir_all(parent)
            .and_then(|()| beside(parent))
            .map_err(|source| failed(parent, source))?;
        file.write_all(text.as_bytes())
            .map_err(|source| failed(path, source))?;
        staged.push((file, path));
    }
    for (file, path) in staged {
        file.persist(path).map_err(|error| failed(path, error.error))?;
    }
    Ok(left_over(folder, &files))
}

/// Gives files new texts: all of them or none. Owner and permissions stay.
pub fn edits(edits: &[FileEdit]) -> Result<(), CliError> {
    let mut staged = Vec::new();
    for edit in edits {
        let file = stage(edit).map_err(|source| failed(Path::new(&edit.name), source))?;
        staged.push((file, edit));
    }
    for edit in edits {
        // Between reading and now someone may have saved the file.
        let now = match std::fs::read_to_string(&edit.path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(Path::new(&edit.name), error)),
        };
        if now != edit.before {
            return Err(CliError::Changed(edit.name.as_str().into()));
        }
    }
    let mut done: Vec<&FileEdit> = Vec::new();
    for (file, edit) in staged {
        if let Err(error) = file.persist(&edit.path) {
            for edit in done {
                // The first error is what is told; there is nothing more to try if the old text cannot be put back.
                let _ = restore(edit);
            }
            return Err(failed(Path::new(&edit.name), error.error));
        }
        done.push(edit);
    }
    Ok(())
}

/// The new text beside its place, looking like what it will replace.
fn stage(edit: &FileEdit) -> io::Result<tempfile::NamedTempFile> {
    let folder = edit.path.parent().unwrap_or(Path::new("."));
    let is_read_only = |metadata: &std::fs::Metadata| metadata.permissions().readonly();
    let read_only = |what| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    if is_read_only(&folder.metadata()?) {
        return read_only("its folder is read-only");
    }
    let mut file = beside(folder)?;
    if edit.before.is_some() {
        let metadata = edit.path.metadata()?;
        if is_read_only(&metadata) {
            return read_only("it is read-only");
        }
        own_as(file.as_file(), &metadata);
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.write_all(edit.after.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Gives a file the owner of another one, as far as this user may; what counts is what is in it.
#[cfg(unix)]
fn own_as(file: &std::fs::File, metadata: &std::fs::Metadata) {
    use std::os::unix::fs::MetadataExt as _;
    let _ = std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()));
}

#[cfg(not(unix))]
fn own_as(_: &std::fs::File, _: &std::fs::Metadata) {}

fn restore(edit: &FileEdit) -> io::Result<()> {
    match &edit.before {
        Some(text) => std::fs::write(&edit.path, text),
        None => std::fs::remove_file(&edit.path),
    }
}

/// Files of ours below the folder that this run did not write: their objects are no longer made.
fn left_over(folder: &Path, files: &[(PathBuf, &str)]) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    };
    let written: HashSet<&PathBuf> = files.iter().map(|(path, _)| path).collect();
    let mut found: Vec<PathBuf> = entries(folder)
        .flat_map(|namespace| entries(&namespace))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .filter(|path| !written.contains(path) && is_ours(path))
        .collect();
    found.sort();
    found
}

/// Whether the file holds one object, and that has our label.
fn is_ours(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else {
        return false;
    };
    match model::yaml::documents(&text).as_slice() {
        [one] => model::yaml::parse(*one).is_ok_and(|node| {
            node.is_some_and(|node| node.at(MANAGED_BY).and_then(model::Node::as_str) == Some("mesh-migrate"))
        }),
        _ => false,
    }
}

/// Writes a file beside its place and moves it there.
pub fn whole_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> io::Result<()> {
        // A pipe or device, such as `/dev/stderr`, cannot be replaced.
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            return std::fs::OpenOptions::new()
                .write(true)
                .open(path)?
                .write_all(bytes);
        }
        let mut file = beside(folder)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| failed(path, source))
}

/// A new file with the permissions that any program's files get; the umask takes its part away.
fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    // The usual reason, in the words of the system.
    folder.metadata()?;
    // The name of the temporary file in the message would only confuse.
    builder
        .tempfile_in(folder)
        .map_err(|error| io::Error::from(error.kind()))
}

fn failed(path: &Path, source: io::Error) -> CliError {
    CliError::Output {
        target: format!("`{}`", path.display()),
        source,
    }
}

/// The path of an object below the folder. Names come from the input: a part that would lead out of the folder is defused.
fn file_name(change: &Change) -> PathBuf {
    let part = |text: &str| text.replace(['/', '\\', '\0'], "_");
    let namespace = change.id.namespace.as_deref().unwrap_or("cluster");
    let kind = change.id.kind.name().to_lowercase();
    let folder = match Path::new(namespace).components().next() {
        Some(Component::Normal(_)) => part(namespace),
        _ => "_".to_owned(),
    };
    Path::new(&folder).join(part(&format!("{kind}-{}.yaml", change.id.name)))
}
