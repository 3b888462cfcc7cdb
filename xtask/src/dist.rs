//! `cargo xtask dist`: `mesh-migrate` with the data plane inside.

use crate::cargo::{self, source};
use miette::{IntoDiagnostic, Result, WrapErr};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What goes inside.
const PROGRAMS: [&str; 2] = ["mesh-proxy", "mesh-agent"];

/// The variable by which `build.rs` finds it.
const VARIABLE: &str = "MESH_MIGRATE_PAYLOAD";

/// Close to the best that zstd can do; above it, reading takes more memory.
const COMPRESSION: i32 = 19;

/// Builds everything into `target/dist`.
pub fn run() -> Result<()> {
    let dist = source().join("target/dist");
    let payload = dist.join("payload");
    fs::create_dir_all(&payload).into_diagnostic()?;
    let target = cargo::host()?;
    let programs = PROGRAMS
        .iter()
        .map(|name| pack(name, &target, &payload))
        .collect::<Result<Vec<_>>>()?;
    write(
        &payload.join("payload.json"),
        format!("{:#}\n", json!({"programs": programs})),
    )?;
    say("building mesh-migrate around them");
    let built = cargo::build("mesh-migrate", &[], &[(VARIABLE, payload.into())])?;
    let program = dist.join("mesh-migrate");
    // A program that runs cannot be written to, but its name can be given to another.
    let new = dist.join("mesh-migrate.new");
    fs::copy(built, &new).into_diagnostic()?;
    fs::rename(new, &program).into_diagnostic()?;
    say(&format!("{} is complete", program.display()));
    Ok(())
}

/// Builds a program and compresses it into the payload. Gives what `build.rs` is to know of it.
fn pack(name: &str, target: &str, payload: &Path) -> Result<Value> {
    say(&format!("building {name}"));
    let bytes = fs::read(cargo::static_program(name)?).into_diagnostic()?;
    let compressed = zstd::encode_all(bytes.as_slice(), COMPRESSION).into_diagnostic()?;
    write(&payload.join(format!("{name}.zst")), &compressed)?;
    Ok(json!({
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "target": target,
        "size": bytes.len(),
        "sha256": oci::Digest::of(&bytes).hexadecimal(),
    }))
}

/// Writes a file unless it is as it should be: what is built from it need not be built again.
fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes.as_ref()) {
        return Ok(());
    }
    fs::write(path, bytes)
        .into_diagnostic()
        .wrap_err_with(|| format!("{} cannot be written", path.display()))
}

#[expect(clippy::print_stderr, reason = "progress of a developers' task")]
fn say(text: &str) {
    eprintln!("dist: {text}");
}
