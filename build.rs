//! Checks the rules, the message pages and the field ledger and turns them into tables: a bad one does not compile. And puts the data plane
//! inside, if there is one.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let folders = ["src/input/messages", "src/convert/messages"].map(|folder| watched(&root, folder));
    let rules = watched(&root, "rules");
    let ledger = watched(&root, "ledger");
    for (file, source) in [
        ("codes.rs", rules::build::message_codes(&folders)),
        ("rules.rs", rules::build::rule_table(&rules)),
        ("ledger.rs", rules::ledger::source(&ledger, &folders)),
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
    std::fs::write(out.join("payload.rs"), payload(&out)?)?;
    Ok(())
}

/// The folder that `cargo xtask dist` fills.
const PAYLOAD: &str = "MESH_MIGRATE_PAYLOAD";

/// The programs inside as source of a table. Without the variable there are none.
fn payload(out: &Path) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={PAYLOAD}");
    let Some(folder) = std::env::var_os(PAYLOAD).filter(|folder| !folder.is_empty()) else {
        return Ok("&[]".to_owned());
    };
    let folder = PathBuf::from(folder);
    let index = folder.join("payload.json");
    println!("cargo::rerun-if-changed={}", index.display());
    let index: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(index)?)?;
    let mut table = String::from("&[");
    for program in index["programs"].as_array().ok_or("no programs")? {
        let text = |key: &str| {
            program[key]
                .as_str()
                .ok_or_else(|| format!("no {key} of {program}"))
        };
        let (name, size) = (text("name")?, program["size"].as_u64().ok_or("no size")?);
        let (role, file) = match name {
            "mesh-proxy" => ("Proxy", "mesh-proxy.zst"),
            "mesh-agent" => ("Agent", "mesh-agent.zst"),
            _ => return Err(format!("no program of the data plane is called {name}").into()),
        };
        println!("cargo::rerun-if-changed={}", folder.join(file).display());
        std::fs::copy(folder.join(file), out.join(file))?;
        table.push_str(&format!(
            "Program {{ role: Role::{role}, version: {:?}, target: {:?}, size: {size}, sha256: {:?}, \
             compressed: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")) }},",
            text("version")?,
            text("target")?,
            text("sha256")?,
        ));
    }
    table.push(']');
    Ok(table)
}

fn watched(root: &Path, folder: &str) -> PathBuf {
    println!("cargo::rerun-if-changed={folder}");
    root.join(folder)
}
