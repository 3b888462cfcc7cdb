//! Checks the rules and the message pages and turns them into tables: a bad one does not compile.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let folders = ["src/input/messages", "src/convert/messages"].map(|folder| watched(&root, folder));
    let rules = watched(&root, "rules");
    for (file, source) in [
        ("codes.rs", rules::build::message_codes(&folders)),
        ("rules.rs", rules::build::rule_table(&rules)),
    ] {
        match source {
            Ok(source) => std::fs::write(out.join(file), source)?,
            Err(error) => {
                for line in error.to_string().lines() {
                    println!("cargo::error={line}");
                }
            }
        }
    }
    Ok(())
}

fn watched(root: &Path, folder: &str) -> PathBuf {
    println!("cargo::rerun-if-changed={folder}");
    root.join(folder)
}
