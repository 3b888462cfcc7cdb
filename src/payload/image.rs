//! Images of the programs: each holds its program and nothing else.

use super::setting::Image as ImageName;
use super::{CorruptError, Program, Role};
use oci::{Compression, Content, Packed};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The executable is damaged.
    #[error(transparent)]
    Corrupt(#[from] CorruptError),
    /// A processor that images have no name for.
    #[error("no image can be made for `{0}`")]
    Target(&'static str),
    /// Packing failed.
    #[error("the image cannot be packed: {0}")]
    Io(#[from] io::Error),
}

/// The image of a program. The same program makes the same digest, on every machine.
///
/// # Errors
/// If the program is damaged, or for a processor that is not known.
pub fn image(program: &Program, name: &ImageName) -> Result<Packed, ImageError> {
    let processor = program.target.split('-').next().unwrap_or_default();
    let architecture = oci::architecture(processor).ok_or(ImageError::Target(program.target))?;
    let (file, title) = (program.role.name(), title(program.role));
    let annotations = [
        ("title", title),
        ("version", program.version),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("source", env!("CARGO_PKG_REPOSITORY")),
    ];
    let image = oci::Image {
        name: name.to_string(),
        architecture,
        files: BTreeMap::from([(PathBuf::from(file), Content::Program(program.bytes()?))]),
        entrypoint: vec![format!("/{file}")],
        // Kubernetes gives capabilities to the superuser alone.
        user: 0,
        annotations: annotations
            .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
            .into(),
    };
    Ok(image.pack(Compression::Gzip)?)
}

fn title(role: Role) -> &'static str {
    match role {
        Role::Proxy => "mesh-proxy: the layer-4 proxy of the nodes of an ambient mesh",
        Role::Agent => "mesh-agent: the node agent and CNI plugin of an ambient mesh",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_makes_the_same_image() {
        let name: ImageName = "r.example/mesh/mesh-proxy:1".parse().unwrap();
        let digest = |bytes: &[u8], name| {
            let program = Program::of(Role::Proxy, bytes);
            image(&program, name).unwrap().digest()
        };
        assert_eq!(digest(b"one", &name), digest(b"one", &name));
        assert_ne!(digest(b"one", &name), digest(b"two", &name));
        // What it is called where it is pushed to is no part of it.
        let other = "elsewhere.example/mesh-proxy:2".parse().unwrap();
        assert_eq!(digest(b"one", &name), digest(b"one", &other));
    }

    #[test]
    fn the_processor_is_that_of_the_program() {
        let name: ImageName = "r.example/mesh/mesh-agent:1".parse().unwrap();
        let program = Program::of(Role::Agent, b"an agent");
        for (target, expected) in [
            ("x86_64-unknown-linux-gnu", Some("amd64")),
            ("aarch64-unknown-linux-gnu", Some("arm64")),
            ("riscv64gc-unknown-linux-gnu", None),
        ] {
            let packed = image(&Program { target, ..program }, &name).ok();
            let configuration = packed.map(|packed| packed.configuration);
            let found = configuration.map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
            assert_eq!(
                found.as_ref().and_then(|found| found["architecture"].as_str()),
                expected
            );
        }
    }
}
