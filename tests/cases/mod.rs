//! The cases of conversion in `testdata/convert`.

#![allow(dead_code, reason = "each program of tests uses a part of it")]

use clap::ValueEnum as _;
use mesh_migrate::convert::{Conversion, Options, Subsets, WaypointPer, assumed_services, convert};
use mesh_migrate::input::Input;
use mesh_migrate::input::files::{Text, read_texts};
use std::path::{Path, PathBuf};

/// A file and the flags of `convert` in its first line, as `# options: --istio 1.31`.
pub struct Case {
    /// What is read of it.
    pub input: Input,
    /// What its flags ask for.
    pub options: Options,
}

impl Case {
    /// All of them, with the names of their files.
    pub fn all() -> Vec<(String, Self)> {
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Self::read(path))
        };
        Self::paths().iter().map(named).collect()
    }

    /// Their files.
    pub fn paths() -> Vec<PathBuf> {
        let files = std::fs::read_dir("testdata/convert").unwrap().flatten();
        let mut paths: Vec<_> = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect();
        paths.sort();
        paths
    }

    pub fn read(path: &Path) -> Self {
        Self::of(std::fs::read_to_string(path).unwrap())
    }

    pub fn of(content: String) -> Self {
        let flags = content
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# options: "));
        let mut options = Options::default();
        let mut words = flags.unwrap_or_default().split_whitespace();
        while let Some(flag) = words.next() {
            match flag {
                "--assume-services" => {}
                "--ingress" => options.ingress = true,
                "--istio" => options.istio = words.next().unwrap().parse().unwrap(),
                "--subsets" => options.subsets = Subsets::from_str(words.next().unwrap(), false).unwrap(),
                "--waypoint-per" => {
                    options.waypoint_per = Some(WaypointPer::from_str(words.next().unwrap(), false).unwrap());
                }
                "--gateway-api" => options.gateway_api = words.next().unwrap().parse().unwrap(),
                other => panic!("no option of a case is called {other}"),
            }
        }
        let assume = flags.is_some_and(|flags| flags.contains("--assume-services"));
        let mut input = read_texts(&[Text {
            name: "input.yaml".into(),
            content,
        }]);
        if assume {
            let assumed = assumed_services(&input.mesh);
            input.mesh = input.mesh.with_services(assumed);
        }
        Self { input, options }
    }

    pub fn convert(&self) -> Conversion {
        convert(&self.input.mesh, self.options)
    }
}
