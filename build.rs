//! Checks the rules and the message pages and turns them into tables: a bad one does not compile.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let folders = ["src/input/messages", "src/convert/messages"].map(|folder| watched(&root, folder));
    std::fs::write(out.join("codes.rs"), rules::build::message_codes(&folders)?)?;
    Ok(())
}

fn watched(root: &Path, folder: &str) -> PathBuf {
    println!("cargo::rerun-if-changed={folder}");
    root.join(folder)
}
