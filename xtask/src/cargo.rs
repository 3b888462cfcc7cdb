//! Programs of the workspace, built by cargo.

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the source tree.
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
}

/// The target of this machine, as in `x86_64-unknown-linux-gnu`.
pub fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output().into_diagnostic()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(ToOwned::to_owned)
        .ok_or_else(|| miette!("rustc does not say what it builds for"))
}

/// Builds the program of a package so that it needs nothing but a kernel: the released form, for this machine's
/// processor, without symbols and without the folders of this machine in it.
pub fn static_program(package: &str) -> Result<PathBuf> {
    let host = host()?;
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    for (folder, name) in [(source(), "."), (home(), "cargo")] {
        flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
    }
    let program = build(
        package,
        &["--target", &host],
        // The only one of the ways to give flags that no setting of the user's comes before.
        &[("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}").into())],
    )?;
    let bytes = fs::read(&program).into_diagnostic()?;
    if !is_static(&bytes) {
        return Err(miette!("{} is not static", program.display()));
    }
    Ok(program)
}

/// Builds the released form of a package's program, and gives its path.
pub fn build(package: &str, arguments: &[&str], environment: &[(&str, OsString)]) -> Result<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--message-format=json-render-diagnostics",
        ])
        .args(["--package", package, "--bin", package])
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (*name, value.as_os_str())))
        .current_dir(source())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .into_diagnostic()
        .wrap_err("cargo did not start")?;
    if !output.status.success() {
        return Err(miette!("building {package} ended with {}", output.status));
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| miette!("cargo does not say where {package} is"))
}

/// Where the sources of libraries are.
fn home() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| value.as_os_str() != OsStr::new(""));
    set("CARGO_HOME").map_or_else(
        || PathBuf::from(set("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    )
}

/// Whether a 64-bit little-endian ELF program names no loader (`PT_INTERP` of the System V ABI).
fn is_static(elf: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, length: usize| {
        let mut bytes = [0; 8];
        bytes
            .get_mut(..length)?
            .copy_from_slice(elf.get(at..at.checked_add(length)?)?);
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let headers = || {
        let (start, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
        (0..count)
            .map(|header| number(start.checked_add(header.checked_mul(size)?)?, 4))
            .collect::<Option<Vec<_>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.contains(&(INTERPRETER as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        // This test itself is a dynamic program; without its header of kind 3 it would pass for a static one.
        let mut elf = fs::read("/proc/self/exe").unwrap();
        assert!(!is_static(&elf));
        let start = usize::from_le_bytes(elf[0x20..0x28].try_into().unwrap());
        let (size, count) = (usize::from(elf[0x36]), usize::from(elf[0x38]));
        let interpreter = (0..count)
            .map(|n| start + n * size)
            .find(|at| elf[*at] == 3)
            .unwrap();
        elf[interpreter] = 0;
        assert!(is_static(&elf));
        for broken in [&elf[..0x30], &elf[..start], b"\x7fELF\x02\x01", b"#!/bin/sh", b""] {
            assert!(!is_static(broken));
        }
    }
}
