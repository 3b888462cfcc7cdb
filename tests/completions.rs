//! The files in `completions/` are what `mesh-migrate completions` prints.

use clap_complete::Shell;
use std::path::Path;

#[test]
fn completions_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (shell, name) in [
        (Shell::Bash, "mesh-migrate.bash"),
        (Shell::Zsh, "_mesh-migrate"),
        (Shell::Fish, "mesh-migrate.fish"),
        (Shell::PowerShell, "_mesh-migrate.ps1"),
        (Shell::Elvish, "mesh-migrate.elv"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut mesh_migrate::cli::command(),
            "mesh-migrate",
            &mut script,
        );
        let path = folder.join(name);
        if std::env::var_os("UPDATE_COMPLETIONS").is_some() {
            std::fs::write(&path, &script).unwrap();
        }
        assert!(
            std::fs::read(&path).is_ok_and(|file| file == script),
            "completions/{name} is stale; run: UPDATE_COMPLETIONS=1 cargo test --test completions"
        );
    }
}
