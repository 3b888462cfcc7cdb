//! The same requests to sidecars with the old configuration and to a waypoint with the new one.

use super::request::Request;
use bed::{Bed, Namespace, Settings};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a control plane may take until proxies do what was asked.
const SOON: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(500);

/// Configuration for a Service of the file's name, and the requests that it is tried with.
struct Trial {
    name: String,
    configuration: String,
    requests: Vec<Request>,
}

impl Trial {
    fn all() -> Vec<Self> {
        let files = fs::read_dir("testdata/conversion").unwrap().flatten();
        let mut paths: Vec<_> = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let configuration = fs::read_to_string(path).unwrap();
            Self {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                requests: Request::all(&configuration),
                configuration,
            }
        };
        paths.iter().map(read).collect()
    }

    /// Whether pods of its own are needed, for policies that select them.
    fn has_policies(&self) -> bool {
        self.configuration.contains("kind: AuthorizationPolicy")
    }

    fn serve(&self, mesh: &Namespace<'_>) {
        if self.has_policies() {
            mesh.server(&self.name);
        } else {
            let name = &self.name;
            mesh.apply(&format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
                 spec: {{selector: {{app: one}}, ports: [{{name: http, port: 80, targetPort: 8080}}, \
                 {{name: http-other, port: 8080, targetPort: 8080}}]}}\n"
            ));
        }
        mesh.apply(&self.configuration);
    }

    /// Requests with another answer than this.
    fn differences(&self, mesh: &Namespace<'_>, expected: fn(&Request) -> &str) -> Result<(), String> {
        let mut wrong = Vec::new();
        for request in &self.requests {
            let answer = request.answer(mesh, &self.name);
            if answer != expected(request) {
                let (method, path, headers) = (&request.method, &request.path, request.headers.join("; "));
                wrong.push(format!(
                    "{}: {method} {path} {headers}\n  expected {}\n  got      {answer}",
                    self.name,
                    expected(request)
                ));
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\n"))
        }
    }
}

fn populated<'a>(bed: &'a Bed, settings: Settings, trials: &[Trial]) -> Namespace<'a> {
    let mesh = bed.namespace_with("alike", settings);
    for name in ["client", "one", "two"] {
        mesh.server(name);
    }
    for trial in trials {
        trial.serve(&mesh);
    }
    mesh
}

/// Converts the namespace as a user would, and takes away what the new objects stand for.
fn convert_and_replace(bed: &Bed, mesh: &Namespace<'_>) -> usize {
    let made = convert(bed, mesh, &[]);
    let objects = bed.kubectl().json(&[
        "get",
        "httproutes,authorizationpolicies",
        "--namespace",
        mesh.name(),
        "--selector=app.kubernetes.io/managed-by=mesh-migrate",
    ]);
    for object in objects.unwrap()["items"].as_array().unwrap() {
        let from = object["metadata"]["annotations"]["mesh-migrate.io/converted-from"].as_str();
        let [_, kind, name] = from.unwrap().split('/').collect::<Vec<_>>()[..] else {
            panic!("{from:?}")
        };
        mesh.kubectl(&["delete", kind, name, "--ignore-not-found"])
            .unwrap();
    }
    made
}

/// Converts a namespace of the cluster with the command and applies what it writes; how many files.
pub fn convert(bed: &Bed, mesh: &Namespace<'_>, flags: &[&str]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .args(["convert", "--namespace", mesh.name()])
        .args(flags)
        .arg("--output-dir")
        .arg(folder.path())
        .env("KUBECONFIG", bed.kubeconfig())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut made = Vec::new();
    texts(folder.path(), &mut made);
    for text in &made {
        mesh.apply(text);
    }
    made.len()
}

fn texts(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, found);
        } else {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// What goes wrong of each trial until the end of the time that it may take.
fn wrong(mesh: &Namespace<'_>, trials: &[Trial], expected: fn(&Request) -> &str) -> String {
    let last = |trial: &Trial| {
        let deadline = Instant::now() + SOON;
        loop {
            match trial.differences(mesh, expected) {
                Ok(()) => return None,
                Err(trouble) if Instant::now() > deadline => return Some(trouble),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    };
    let troubles: Vec<String> = trials.iter().filter_map(last).collect();
    troubles.join("\n")
}

#[test]
fn a_waypoint_with_the_new_objects_answers_as_sidecars_with_the_old_ones() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let trials = Trial::all();
    let old = populated(bed, Settings::Sidecar, &trials);
    let troubles = wrong(&old, &trials, |request| &request.expected);
    assert!(troubles.is_empty(), "sidecars, with the old objects:\n{troubles}");

    let new = populated(bed, Settings::Ambient, &trials);
    new.waypoint("waypoint");
    let made = convert_and_replace(bed, &new);
    assert!(
        made >= trials.len() / 2,
        "{made} objects of {} trials",
        trials.len()
    );
    let troubles = wrong(&new, &trials, |request| &request.at_waypoint);
    assert!(
        troubles.is_empty(),
        "a waypoint, with the new objects:\n{troubles}"
    );
}
