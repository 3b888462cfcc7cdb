//! The programs inside of the executable.

use super::Role;
use std::io::Read as _;

/// A program inside of the executable: static, for Linux, compressed with zstd.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Which one.
    pub role: Role,
    /// Its version.
    pub version: &'static str,
    /// What it was built for, as in `x86_64-unknown-linux-gnu`.
    pub target: &'static str,
    /// Its size, in bytes.
    pub size: u64,
    /// Its SHA-256, as 64 hexadecimal digits.
    pub sha256: &'static str,
    pub(super) compressed: &'static [u8],
}

/// A program inside of the executable that is not what was put there.
#[derive(Debug, thiserror::Error)]
#[error("the {} inside of this executable is damaged", .role.name())]
pub struct CorruptError {
    /// Which one.
    pub role: Role,
}

/// The programs that `cargo xtask dist` put inside; none after a plain `cargo build`.
#[must_use]
pub fn embedded() -> &'static [Program] {
    include!(concat!(env!("OUT_DIR"), "/payload.rs"))
}

impl Program {
    /// How many bytes of the executable it takes.
    #[must_use]
    pub fn compressed_size(&self) -> u64 {
        self.compressed.len() as u64
    }

    /// The program, checked.
    ///
    /// # Errors
    /// If the bytes are not those of [`Self::size`] and [`Self::sha256`].
    pub fn bytes(&self) -> Result<Vec<u8>, CorruptError> {
        let corrupt = || CorruptError { role: self.role };
        let decoder = zstd::Decoder::new(self.compressed).map_err(|_| corrupt())?;
        let mut bytes = Vec::new();
        // One more than there should be, so that a longer one is seen and not cut off.
        let limit = self.size.saturating_add(1);
        decoder
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|_| corrupt())?;
        if bytes.len() as u64 == self.size && oci::Digest::of(&bytes).hexadecimal() == self.sha256 {
            Ok(bytes)
        } else {
            Err(corrupt())
        }
    }

    /// A program of these bytes, as `cargo xtask dist` would pack it.
    #[cfg(test)]
    pub(super) fn of(role: Role, bytes: &[u8]) -> Self {
        Self {
            role,
            version: "1.2.3",
            target: "x86_64-unknown-linux-gnu",
            size: bytes.len() as u64,
            sha256: Box::leak(oci::Digest::of(bytes).hexadecimal().into()),
            compressed: Box::leak(zstd::encode_all(bytes, 3).unwrap().into_boxed_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_and_nothing_else() {
        let program = Program::of(Role::Agent, b"an agent");
        assert_eq!(program.bytes().unwrap(), b"an agent");
        let other = Program::of(Role::Agent, b"an agenT");
        for broken in [
            Program {
                sha256: other.sha256,
                ..program
            },
            Program {
                compressed: other.compressed,
                ..program
            },
            Program {
                compressed: &program.compressed[..program.compressed.len() - 1],
                ..program
            },
            Program {
                compressed: b"no zstd",
                ..program
            },
            Program { size: 7, ..program },
            Program { size: 9, ..program },
        ] {
            assert!(broken.bytes().is_err());
        }
    }

    /// After `cargo xtask dist`, the programs inside are whole.
    #[test]
    fn what_is_inside_is_whole() {
        for program in embedded() {
            assert!(program.bytes().unwrap().starts_with(b"\x7fELF"));
        }
    }
}
