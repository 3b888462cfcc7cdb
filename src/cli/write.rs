//! New files: whole or not at all, and never over a file of someone else.

use super::CliError;
use crate::convert::Change;
use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

/// The label by which the program knows its own objects.
const MANAGED_BY: &[&str] = &["metadata", "labels", "app.kubernetes.io/managed-by"];

/// Writes every new object to `NAMESPACE/KIND-NAME.yaml`. All files are looked at before the first is written.
/// Gives the files of earlier runs that are left over.
pub fn objects(folder: &Path, changes: &[Change]) -> Result<Vec<PathBuf>, CliError> {
    let files: Vec<(PathBuf, String)> = changes
        .iter()
        .map(|change| {
            (
                folder.join(file_name(change)),
                model::yaml::to_text(&change.after),
            )
        })
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

/// Files of ours below the folder that this run did not write: their objects are no longer made.
fn left_over(folder: &Path, files: &[(PathBuf, String)]) -> Vec<PathBuf> {
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
