//! Prints the manifests of a generated mesh: `cargo run --release --example generate_mesh -- 10000 > mesh.yaml`; with a
//! second argument `movable` of one with workloads, for `plan`.

#[path = "../benches/mesh/mod.rs"]
mod mesh;

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let size = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    let text = match std::env::args().nth(2).as_deref() {
        Some("movable") => mesh::movable(size),
        _ => mesh::manifests(size),
    };
    std::io::stdout().lock().write_all(text.as_bytes())
}
