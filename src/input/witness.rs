//! Witnesses: requests of the owner's own, as commands in pods, in a file.

use crate::plan::document::Witness;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there are no witnesses.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// The file.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("`{}` is no list of witnesses: {reason}", path.display())]
    Malformed {
        /// Its path.
        path: PathBuf,
        /// What is wrong, with its place.
        reason: String,
    },
}

/// Reads a list of witnesses, YAML or JSON.
///
/// # Errors
/// A file that cannot be read, or is something else.
pub fn read(path: &Path) -> Result<Vec<Witness>, WitnessError> {
    let text = std::fs::read_to_string(path).map_err(|source| WitnessError::Io {
        path: path.to_owned(),
        source,
    })?;
    parse(&text).map_err(|reason| WitnessError::Malformed {
        path: path.to_owned(),
        reason,
    })
}

fn parse(text: &str) -> Result<Vec<Witness>, String> {
    let chunks = model::yaml::documents(text);
    let [chunk] = chunks.as_slice() else {
        return Err("it must be one document".to_owned());
    };
    let node = model::yaml::parse(*chunk)
        .map_err(|error| format!("line {}: {}", error.mark.line, error.message))?
        .ok_or_else(|| "it is empty".to_owned())?;
    let mut witnesses = Vec::new();
    for item in node.items() {
        let witness: Witness = serde_json::from_value(item.into())
            .map_err(|error| format!("line {}: {error}", item.mark.line))?;
        if witness.command.is_empty() || witness.output.is_empty() {
            return Err(format!(
                "line {}: `command` and `output` must say something",
                item.mark.line
            ));
        }
        let kind = witness.workload.split_once('/').map(|(kind, _)| kind);
        if !matches!(kind, Some("Deployment" | "StatefulSet" | "DaemonSet")) {
            return Err(format!(
                "line {}: `workload` is `{}`, not Deployment/NAME, StatefulSet/NAME or DaemonSet/NAME",
                item.mark.line, witness.workload
            ));
        }
        witnesses.push(witness);
    }
    if witnesses.is_empty() {
        return Err("it holds no list".to_owned());
    }
    Ok(witnesses)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn witnesses_are_read_and_what_is_none_is_refused_with_its_place() {
        let one = "- name: web is served\n  namespace: front\n  workload: Deployment/web\n  container: web\n  \
                   command: [curl, http://store.back/x]\n  output: ok\n";
        assert_eq!(parse(one).unwrap()[0].command.len(), 2);
        for (text, reason) in [
            ("", "it must be one document"),
            ("# nothing\n", "it"),
            ("a: b", "it holds no list"),
            (
                &one.replace("Deployment/web", "web"),
                "line 1: `workload` is `web`",
            ),
            (
                &one.replace("output: ok", "output: ''"),
                "line 1: `command` and `output`",
            ),
            (&one.replace("output", "says"), "line 1: unknown field `says`"),
            ("- [", "line "),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.starts_with(reason), "{text}: {found}");
        }
    }
}
