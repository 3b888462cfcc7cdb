//! Prints the manifests of a generated mesh: `cargo run --release --example generate_mesh -- 10000 > mesh.yaml`.

#[path = "../benches/mesh/mod.rs"]
mod mesh;

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let size = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    std::io::stdout()
        .lock()
        .write_all(mesh::manifests(size).as_bytes())
}
