//! Images written from files: OCI archives of one layer, the same bytes for the same files.

use super::shell::{self, words};
use miette::{IntoDiagnostic, Result, WrapErr};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What an image holds and how it is started.
pub struct Image {
    /// The full name, with its tag.
    pub name: String,
    /// Where in the image, what: ordered, so that the archive is.
    pub files: BTreeMap<PathBuf, Content>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Numeric, as `runAsNonRoot` demands.
    pub user: u32,
}

/// What lies at a path of an image.
pub enum Content {
    /// A copy of this file, executable or not as that is.
    File(PathBuf),
    /// A link to another path of the image.
    Link(PathBuf),
    /// A folder that everyone may write to.
    Folder,
}

impl Image {
    /// An image with nothing in it yet.
    pub fn new(name: &str, entrypoint: &[&str], user: u32) -> Self {
        use bed::layout::{IMAGE_HUB, IMAGE_TAG};
        Self {
            name: format!("{IMAGE_HUB}/{name}:{IMAGE_TAG}"),
            files: BTreeMap::from([(PathBuf::from("tmp"), Content::Folder)]),
            entrypoint: entrypoint.iter().map(ToString::to_string).collect(),
            user,
        }
    }

    /// Adds a file.
    pub fn file(mut self, at: &str, from: impl Into<PathBuf>) -> Self {
        self.files
            .insert(at.trim_start_matches('/').into(), Content::File(from.into()));
        self
    }

    /// Adds a folder that everyone may write to.
    pub fn folder(mut self, at: &str) -> Self {
        self.files
            .insert(at.trim_start_matches('/').into(), Content::Folder);
        self
    }

    /// Adds a program of this machine under its own path, with the libraries that it loads.
    pub fn program_of_machine(mut self, path: &str) -> Result<Self> {
        for library in libraries(Path::new(path))? {
            self.add_real(&library)?;
        }
        self.add_real(Path::new(path))?;
        Ok(self)
    }

    /// Adds the libraries of a program that is in the image already.
    pub fn libraries_of(mut self, path: &Path) -> Result<Self> {
        for library in libraries(path)? {
            self.add_real(&library)?;
        }
        Ok(self)
    }

    /// Adds a file of this machine: where it is a link, what it leads to under the link's name.
    fn add_real(&mut self, path: &Path) -> Result<()> {
        let real = fs::canonicalize(path)
            .into_diagnostic()
            .wrap_err_with(|| format!("{} is not there", path.display()))?;
        let at = path.strip_prefix("/").unwrap_or(path);
        self.files.insert(at.to_owned(), Content::File(real));
        Ok(())
    }

    /// Writes the archive, unless one of the same files is there.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let short = self
            .name
            .rsplit('/')
            .next()
            .unwrap_or(&self.name)
            .replace(':', "-");
        let archive = folder.join(format!("{short}.tar"));
        let stamp = folder.join(format!("{short}.stamp"));
        let made_of = self.made_of()?;
        if archive.exists() && fs::read_to_string(&stamp).is_ok_and(|of| of == made_of) {
            return Ok(archive);
        }
        fs::create_dir_all(folder).into_diagnostic()?;
        let _ = fs::remove_file(&stamp);
        let new = folder.join(format!("{short}.new"));
        let layer = folder.join(format!("{short}.layer"));
        self.write_layer(&layer)
            .and_then(|()| self.write_archive(&layer, &new))
            .into_diagnostic()
            .wrap_err_with(|| format!("the image {} cannot be written", self.name))?;
        fs::remove_file(&layer).into_diagnostic()?;
        // An archive that is cut off must not pass for a whole one.
        fs::rename(&new, &archive).into_diagnostic()?;
        fs::write(&stamp, made_of).into_diagnostic()?;
        Ok(archive)
    }

    /// All sources with their sizes and times: equal exactly if the archive would be.
    fn made_of(&self) -> Result<String> {
        let mut text = format!("{} {:?} {}\n", self.name, self.entrypoint, self.user);
        for (at, content) in &self.files {
            let source = match content {
                Content::File(from) => {
                    let about = fs::metadata(from)
                        .into_diagnostic()
                        .wrap_err_with(|| format!("{} is not there", from.display()))?;
                    let changed = about.modified().into_diagnostic()?;
                    format!("{} {} {changed:?}", from.display(), about.len())
                }
                Content::Link(to) => format!("-> {}", to.display()),
                Content::Folder => "folder".to_owned(),
            };
            text.push_str(&format!("{}: {source}\n", at.display()));
        }
        Ok(text)
    }

    fn write_layer(&self, path: &Path) -> io::Result<()> {
        let mut tar = tar::Builder::new(BufWriter::new(File::create(path)?));
        for (at, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(0);
            match content {
                Content::File(from) => {
                    let mut file = File::open(from)?;
                    let about = file.metadata()?;
                    header.set_size(about.len());
                    header.set_mode(if is_executable(&about) { 0o755 } else { 0o644 });
                    tar.append_data(&mut header, at, &mut file)?;
                }
                Content::Link(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    header.set_mode(0o777);
                    tar.append_link(&mut header, at, to)?;
                }
                Content::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    header.set_mode(0o777);
                    tar.append_data(&mut header, at, io::empty())?;
                }
            }
        }
        tar.into_inner()?.flush()
    }

    fn write_archive(&self, layer: &Path, path: &Path) -> io::Result<()> {
        let layer_digest = digest_of_file(layer)?;
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "User": self.user.to_string(),
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        })
        .to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &digest(&config), config.len() as u64),
            "layers": [descriptor(
                "application/vnd.oci.image.layer.v1.tar",
                &layer_digest,
                fs::metadata(layer)?.len(),
            )],
        })
        .to_string();
        let mut of_manifest = descriptor(
            "application/vnd.oci.image.manifest.v1+json",
            &digest(&manifest),
            manifest.len() as u64,
        );
        of_manifest["annotations"] = json!({"io.containerd.image.name": self.name});
        let index = json!({"schemaVersion": 2, "manifests": [of_manifest]}).to_string();

        let mut tar = tar::Builder::new(BufWriter::new(File::create(path)?));
        append(&mut tar, "oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut tar, "index.json", &index)?;
        append(
            &mut tar,
            &format!("blobs/sha256/{}", digest(&manifest)),
            &manifest,
        )?;
        append(&mut tar, &format!("blobs/sha256/{}", digest(&config)), &config)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(fs::metadata(layer)?.len());
        header.set_mode(0o644);
        tar.append_data(
            &mut header,
            format!("blobs/sha256/{layer_digest}"),
            File::open(layer)?,
        )?;
        tar.into_inner()?.flush()
    }
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, text.as_bytes())
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_executable(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o111 != 0
}

/// What the dynamic loader would load for a program: the loader itself included; nothing for a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = shell::output(words("ldd").arg(program))?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    Ok(text
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}
