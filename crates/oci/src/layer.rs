//! Layers: tar archives of files, the same bytes for the same files.

use crate::{Content, Digest};
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How a layer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is: for archives that are read on the same machine.
    None,
    /// gzip, which every registry and runtime knows. Its header has no time and no name.
    Gzip,
}

/// A layer, as it travels.
#[derive(Debug)]
pub struct Layer {
    place: Place,
    compression: Compression,
    digest: Digest,
    uncompressed: Digest,
    size: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(PathBuf),
}

impl Layer {
    /// A layer of the bytes of a tar archive.
    ///
    /// # Errors
    /// None that can be named: compressing into memory does not fail.
    pub fn of_bytes(tar: Vec<u8>, compression: Compression) -> io::Result<Self> {
        let uncompressed = Digest::of(&tar);
        let bytes = match compression {
            Compression::None => tar,
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(&tar)?;
                encoder.finish()?
            }
        };
        Ok(Self {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            place: Place::Memory(bytes),
            compression,
            uncompressed,
        })
    }

    /// A layer of a tar archive in a file, which must stay as it is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(tar: PathBuf) -> io::Result<Self> {
        let digest = Digest::of_reader(&mut File::open(&tar)?)?;
        Ok(Self {
            size: fs::metadata(&tar)?.len(),
            place: Place::File(tar),
            compression: Compression::None,
            uncompressed: digest.clone(),
            digest,
        })
    }

    /// The digest of what travels.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The digest of the tar archive.
    #[must_use]
    pub fn uncompressed(&self) -> &Digest {
        &self.uncompressed
    }

    /// How many bytes travel.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The media type.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }

    /// What travels.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.place {
            Place::Memory(bytes) => Box::new(bytes.as_slice()),
            Place::File(path) => Box::new(File::open(path)?),
        })
    }
}

/// Writes files as a tar archive.
pub fn write(files: &BTreeMap<PathBuf, Content>, out: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    for (at, content) in files {
        match content {
            Content::File(from) => {
                let mut file = File::open(from)?;
                let about = file.metadata()?;
                let mode = if is_executable(&about) { 0o755 } else { 0o644 };
                let mut header = header(tar::EntryType::Regular, mode, about.len());
                tar.append_data(&mut header, at, &mut file)?;
            }
            Content::Program(bytes) => {
                let mut header = header(tar::EntryType::Regular, 0o755, bytes.len() as u64);
                tar.append_data(&mut header, at, bytes.as_slice())?;
            }
            Content::Link(to) => link(&mut tar, at, to)?,
            Content::Folder => {
                let mut header = header(tar::EntryType::Directory, 0o777, 0);
                tar.append_data(&mut header, at, io::empty())?;
            }
        }
    }
    tar.into_inner()?.flush()
}

fn link(tar: &mut tar::Builder<impl Write>, at: &Path, to: &Path) -> io::Result<()> {
    let mut header = header(tar::EntryType::Symlink, 0o777, 0);
    tar.append_link(&mut header, at, to)
}

/// The header of an entry that nobody owns and that has no time.
pub fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(unix)]
fn is_executable(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o111 != 0
}

/// Where files have no such bit, all of them are programs.
#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    true
}
