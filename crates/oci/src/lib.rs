//! OCI images of programs (image specification 1.1): one layer, one configuration, one manifest. What an image is made of
//! decides every byte of it, so its digest says whether it is the same: entries are ordered, belong to the superuser and
//! have no times.

mod archive;
mod digest;
mod layer;

pub use archive::archive;
pub use digest::Digest;
pub use layer::{Compression, Layer};

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

/// The media type of manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of configurations.
pub const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";

/// What an image holds and how it is started.
#[derive(Debug, Clone)]
pub struct Image {
    /// The full name, with its tag.
    pub name: String,
    /// The processor, by Go's name for it, as in `amd64`.
    pub architecture: &'static str,
    /// Where in the image, what: ordered, so that the layer is.
    pub files: BTreeMap<PathBuf, Content>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Numeric, as `runAsNonRoot` demands.
    pub user: u32,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

/// What lies at a path of an image.
#[derive(Debug, Clone)]
pub enum Content {
    /// A copy of this file, executable or not as that is.
    File(PathBuf),
    /// A program with these bytes.
    Program(Vec<u8>),
    /// A link to another path of the image.
    Link(PathBuf),
    /// A folder that everyone may write to.
    Folder,
}

/// The name that OCI has for a processor, by that which Rust has.
#[must_use]
pub fn architecture(rust: &str) -> Option<&'static str> {
    match rust {
        "x86_64" => Some("amd64"),
        "aarch64" => Some("arm64"),
        _ => None,
    }
}

/// An image with its layer written: ready for an archive or a registry.
#[derive(Debug)]
pub struct Packed {
    /// The full name, with its tag.
    pub name: String,
    /// The manifest, as JSON.
    pub manifest: String,
    /// The configuration, as JSON.
    pub configuration: String,
    /// The layer.
    pub layer: Layer,
    platform: Value,
}

impl Image {
    /// Writes the layer, uncompressed.
    ///
    /// # Errors
    /// If a file cannot be read or the writer fails.
    pub fn write_layer(&self, out: impl Write) -> io::Result<()> {
        layer::write(&self.files, out)
    }

    /// Puts the image together around its layer, in memory.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn pack(&self, compression: Compression) -> io::Result<Packed> {
        let mut tar = Vec::new();
        self.write_layer(&mut tar)?;
        Ok(self.around(Layer::of_bytes(tar, compression)?))
    }

    /// Puts the image together around a layer that [`Self::write_layer`] wrote.
    #[must_use]
    pub fn around(&self, layer: Layer) -> Packed {
        let platform = json!({"architecture": self.architecture, "os": "linux"});
        let configuration = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": self.architecture,
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "User": self.user.to_string(),
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.uncompressed().to_string()]},
        })
        .to_string();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIGURATION, &Digest::of(configuration.as_bytes()), configuration.len() as u64),
            "layers": [descriptor(layer.media_type(), layer.digest(), layer.size())],
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        Packed {
            name: self.name.clone(),
            manifest: manifest.to_string(),
            configuration,
            layer,
            platform,
        }
    }
}

impl Packed {
    /// The digest of the manifest, by which the image can be pulled.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.manifest.as_bytes())
    }
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
}

#[cfg(test)]
mod tests;
