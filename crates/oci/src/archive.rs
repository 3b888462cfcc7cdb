//! Archives of images: the OCI image layout in a tar file, which `ctr images import`, podman and skopeo read.

use crate::layer::header;
use crate::{Digest, MANIFEST, Packed, descriptor};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};

/// Writes images as one archive.
///
/// # Errors
/// If a layer cannot be read or the writer fails.
pub fn archive(images: &[Packed], out: impl Write) -> io::Result<()> {
    let manifests: Vec<_> = images
        .iter()
        .map(|image| {
            let mut entry = descriptor(MANIFEST, &image.digest(), image.manifest.len() as u64);
            entry["platform"] = image.platform.clone();
            entry["annotations"] = json!({
                "io.containerd.image.name": image.name,
                "org.opencontainers.image.ref.name": image.name,
            });
            entry
        })
        .collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    let mut archive = Archive {
        tar: tar::Builder::new(out),
        blobs: BTreeSet::new(),
    };
    archive.text("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.text("index.json", &index.to_string())?;
    for image in images {
        archive.blob(
            &image.digest(),
            image.manifest.len() as u64,
            image.manifest.as_bytes(),
        )?;
        let configuration = image.configuration.as_bytes();
        archive.blob(
            &Digest::of(configuration),
            configuration.len() as u64,
            configuration,
        )?;
        let layer = &image.layer;
        archive.blob(layer.digest(), layer.size(), layer.open()?)?;
    }
    archive.tar.into_inner()?.flush()
}

struct Archive<W: Write> {
    tar: tar::Builder<W>,
    blobs: BTreeSet<Digest>,
}

impl<W: Write> Archive<W> {
    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = header(tar::EntryType::Regular, 0o644, text.len() as u64);
        self.tar.append_data(&mut header, name, text.as_bytes())
    }

    /// Adds a blob, once.
    fn blob(&mut self, digest: &Digest, size: u64, bytes: impl Read) -> io::Result<()> {
        if !self.blobs.insert(digest.clone()) {
            return Ok(());
        }
        let mut header = header(tar::EntryType::Regular, 0o644, size);
        let name = format!("blobs/sha256/{}", digest.hexadecimal());
        self.tar.append_data(&mut header, name, bytes)
    }
}
