//! A reading of a cluster as a file: `mesh.tar.zst`, which `--snapshot` reads back.
//!
//! The archive begins with `snapshot.json`; every object is a file
//! `objects/GROUP/KIND/NAMESPACE/NAME.json` (`core` for the core group, `_` for no namespace). The same content
//! gives the same bytes.

use super::Input;
use super::cluster::{RawCluster, identity, kind_of};
use model::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};
use thiserror::Error;

/// The version of the format that this program writes, and the only one that it reads.
const VERSION: u32 = 1;
const FORMAT: &str = "mesh-migrate-snapshot";
const MANIFEST: &str = "snapshot.json";
const COMPRESSION_LEVEL: i32 = 6;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// 128 MiB: what any zstd needs to be able to unpack, and no more memory than that.
const MAX_WINDOW_LOG: u32 = 27;

/// What a snapshot may unpack to: more is no snapshot, but an attack or an accident.
#[derive(Debug, Clone, Copy)]
struct Limits {
    entry: u64,
    total: u64,
}

const LIMITS: Limits = Limits {
    entry: 32 << 20,
    total: 4 << 30,
};

/// A snapshot could not be written or read.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file cannot be written.
    #[error("`{path}` cannot be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be opened.
    #[error("`{path}` cannot be read: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("`{path}` is not a snapshot of mesh-migrate: {reason}")]
    NotASnapshot {
        /// The file.
        path: PathBuf,
        /// How one can tell.
        reason: String,
    },
    /// The file ends too early or is damaged.
    #[error("`{path}` is damaged or cut off: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How one can tell.
        reason: String,
    },
    /// The file is of another version of the program.
    #[error(
        "`{path}` has snapshot format {found}, written by mesh-migrate {tool}; this program knows {VERSION}"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
        /// The program that wrote it.
        tool: String,
    },
    /// The file unpacks to more than any cluster holds.
    #[error("`{path}` unpacks to more than a snapshot may have ({what})")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Which limit.
        what: String,
    },
}

impl SnapshotError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Write { .. } => "check that the folder exists and can be written to",
            Self::Open { .. } => {
                "check the path; make a snapshot with: mesh-migrate snapshot -o mesh.tar.zst"
            }
            Self::NotASnapshot { .. } => {
                "make a snapshot with: mesh-migrate snapshot -o mesh.tar.zst; read manifests with -f"
            }
            Self::Damaged { .. } => "copy the file again, or make a new snapshot",
            Self::Version { .. } => "update mesh-migrate, or make a new snapshot with this version",
            Self::TooLarge { .. } => "do not use a file of unknown origin; make a new snapshot",
        }
        .to_owned()
    }
}

/// `snapshot.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    #[serde(default)]
    tool_version: String,
    #[serde(default)]
    taken_at: String,
    #[serde(default)]
    context: String,
    server_version: Option<String>,
    namespaces: Option<BTreeSet<String>>,
    objects: usize,
    kinds: Kinds,
}

/// Which kinds were and were not read, each as `Kind` or `Kind.group`.
#[derive(Debug, Serialize, Deserialize)]
struct Kinds {
    read: BTreeSet<String>,
    unreadable: BTreeMap<String, String>,
    not_installed: BTreeSet<String>,
}

/// The part of `snapshot.json` that every version has.
#[derive(Debug, Deserialize)]
struct Stamp {
    format: String,
    version: u32,
    #[serde(default)]
    tool_version: String,
}

/// Writes a snapshot. The file is there as a whole or not at all, and only its owner may read it.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, cluster: &RawCluster) -> Result<(), SnapshotError> {
    let failed = |source| SnapshotError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    archive(cluster, file.as_file_mut()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn archive(cluster: &RawCluster, out: impl Write) -> std::io::Result<()> {
    let mut encoder = zstd::Encoder::new(out, COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    let mut builder = Builder::new(encoder);
    append(
        &mut builder,
        MANIFEST,
        &serde_json::to_vec_pretty(&manifest(cluster))?,
    )?;
    let mut objects: Vec<_> = cluster.objects.iter().map(|o| (identity(o), o)).collect();
    objects.sort_by(|a, b| a.0.cmp(&b.0));
    for ((kind, namespace, name), object) in objects {
        let group = if kind.group().is_empty() {
            "core"
        } else {
            kind.group()
        };
        let namespace = if namespace.is_empty() { "_" } else { &namespace };
        let path = format!("objects/{group}/{}/{namespace}/{name}.json", kind.name());
        append(&mut builder, &path, &serde_json::to_vec_pretty(object)?)?;
    }
    builder.into_inner()?.finish()?;
    Ok(())
}

fn append(builder: &mut Builder<impl Write>, path: &str, data: &[u8]) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(data.len() as u64);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, path, data)
}

fn manifest(cluster: &RawCluster) -> Manifest {
    let names = |kinds: &BTreeSet<Kind>| kinds.iter().map(kind_name).collect();
    Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: cluster.taken_at.clone(),
        context: cluster.context.clone(),
        server_version: cluster.server_version.clone(),
        namespaces: cluster.namespaces.clone(),
        objects: cluster.objects.len(),
        kinds: Kinds {
            read: names(&cluster.read),
            unreadable: cluster
                .unreadable
                .iter()
                .map(|(kind, reason)| (kind_name(kind), reason.clone()))
                .collect(),
            not_installed: names(&cluster.not_installed),
        },
    }
}

fn kind_name(kind: &Kind) -> String {
    match kind.group() {
        "" => kind.name().to_owned(),
        group => format!("{}.{group}", kind.name()),
    }
}

fn kind_of_name(text: &str) -> Kind {
    let (name, group) = text.split_once('.').unwrap_or((text, ""));
    Kind::new(group, name)
}

/// Reads a snapshot to a mesh.
///
/// # Errors
/// If the file is not a whole snapshot of a format that the program knows.
pub fn read(path: &Path) -> Result<Input, SnapshotError> {
    let raw = load(path)?;
    let description = format!(
        "snapshot `{}` of context `{}`, taken {}",
        path.display(),
        raw.context,
        raw.taken_at
    );
    Ok(raw.into_input(description))
}

/// Reads a snapshot as it was written.
///
/// # Errors
/// As [`read`].
pub fn load(path: &Path) -> Result<RawCluster, SnapshotError> {
    let file = std::fs::File::open(path).map_err(|source| SnapshotError::Open {
        path: path.to_owned(),
        source,
    })?;
    unpack(file, LIMITS).map_err(|defect| defect.at(path))
}

/// What is wrong with the bytes, whatever the file is called.
#[derive(Debug)]
enum Defect {
    NotASnapshot(String),
    Damaged(String),
    Version { found: u32, tool: String },
    TooLarge(String),
}

impl Defect {
    fn at(self, path: &Path) -> SnapshotError {
        let path = path.to_owned();
        match self {
            Self::NotASnapshot(reason) => SnapshotError::NotASnapshot { path, reason },
            Self::Damaged(reason) => SnapshotError::Damaged { path, reason },
            Self::Version { found, tool } => SnapshotError::Version { path, found, tool },
            Self::TooLarge(what) => SnapshotError::TooLarge { path, what },
        }
    }
}

impl From<std::io::Error> for Defect {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::FileTooLarge => Self::TooLarge("in all".to_owned()),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// A reader that fails after so many bytes, so that an archive cannot fill the memory.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or(ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

fn unpack(mut file: impl Read, limits: Limits) -> Result<RawCluster, Defect> {
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    if magic != ZSTD_MAGIC {
        return Err(Defect::NotASnapshot("it is not compressed with zstd".to_owned()));
    }
    let mut decoder = zstd::Decoder::new(std::io::Cursor::new(magic).chain(file))?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    let mut archive = Archive::new(Bounded {
        inner: decoder,
        left: limits.total,
    });
    let mut contents = Contents::default();
    // Raw: a name that is longer than a header comes as an entry of its own; names do not matter here.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry.map_err(|error| contents.defect(error))?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        if entry.size() > limits.entry {
            return Err(Defect::TooLarge("one object".to_owned()));
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data)?;
        contents.take(&data)?;
    }
    // The checksum stands at the end.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink())?;
    contents.finish()
}

/// What was read so far.
#[derive(Default)]
struct Contents {
    manifest: Option<Manifest>,
    objects: Vec<Value>,
}

impl Contents {
    /// An archive that does not even begin as ours is another one; one that ends early is damaged.
    fn defect(&self, error: std::io::Error) -> Defect {
        match (Defect::from(error), &self.manifest) {
            (Defect::Damaged(reason), None) => Defect::NotASnapshot(reason),
            (defect, _) => defect,
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Defect> {
        if self.manifest.is_none() {
            self.manifest = Some(read_manifest(data)?);
            return Ok(());
        }
        let object: Value = serde_json::from_slice(data).map_err(|e| Defect::Damaged(e.to_string()))?;
        if !object.is_object() || kind_of(&object).name().is_empty() {
            return Err(Defect::Damaged("an entry is not a Kubernetes object".to_owned()));
        }
        self.objects.push(object);
        Ok(())
    }

    fn finish(self) -> Result<RawCluster, Defect> {
        let Some(manifest) = self.manifest else {
            return Err(Defect::NotASnapshot(format!("it has no `{MANIFEST}`")));
        };
        if self.objects.len() != manifest.objects {
            return Err(Defect::Damaged(format!(
                "it has {} of {} objects",
                self.objects.len(),
                manifest.objects
            )));
        }
        let kinds = |names: BTreeSet<String>| names.iter().map(|name| kind_of_name(name)).collect();
        let mut objects = self.objects;
        objects.sort_by_cached_key(identity);
        Ok(RawCluster {
            objects,
            context: manifest.context,
            taken_at: manifest.taken_at,
            server_version: manifest.server_version,
            read: kinds(manifest.kinds.read),
            unreadable: manifest
                .kinds
                .unreadable
                .iter()
                .map(|(name, reason)| (kind_of_name(name), reason.clone()))
                .collect(),
            not_installed: kinds(manifest.kinds.not_installed),
            namespaces: manifest.namespaces,
        })
    }
}

fn read_manifest(data: &[u8]) -> Result<Manifest, Defect> {
    let foreign = || Defect::NotASnapshot(format!("it does not begin with `{MANIFEST}`"));
    let stamp: Stamp = serde_json::from_slice(data).map_err(|_| foreign())?;
    if stamp.format != FORMAT {
        return Err(foreign());
    }
    if stamp.version != VERSION {
        return Err(Defect::Version {
            found: stamp.version,
            tool: stamp.tool_version,
        });
    }
    serde_json::from_slice(data).map_err(|e| Defect::Damaged(format!("`{MANIFEST}`: {e}")))
}

#[cfg(test)]
mod tests;
