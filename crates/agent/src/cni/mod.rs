//! The CNI plugin: version 1.1 of the specification, chained behind the plugin that makes the pod's network.
//!
//! It holds no credentials and asks no API server: the agent decides. If the agent does not answer, no pod is made, but for
//! those of excluded namespaces and the agent's own.

mod client;
pub mod config;
mod error;
pub mod event;

pub use error::{CniError, Code};

use client::Answer;
use config::{Attachment, Command, Config, LATEST, VERSIONS};
use event::{ADD_PATH, AddEvent, CHECK_PATH, SOCKET, STATUS_PATH, STOCK_NOT_ENROLLED};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::io;

/// What the plugin prints, and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Text for standard output; may be empty.
    pub stdout: String,
    /// Whether the plugin failed: exit code 1, and standard output is an error object.
    pub failed: bool,
}

/// Carries out one command. `variable` gives the environment, `stdin` the network configuration.
#[must_use]
pub fn run(variable: impl Fn(&str) -> Option<String>, stdin: &str) -> Outcome {
    match answer(&variable, stdin) {
        Ok(stdout) => Outcome {
            stdout,
            failed: false,
        },
        Err(error) => Outcome {
            stdout: error.to_json(&version_of(stdin)),
            failed: true,
        },
    }
}

/// The version in which errors are to be written, as far as it can be made out.
fn version_of(stdin: &str) -> String {
    /// Nothing else is looked at: what we do not read must not hide it.
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "cniVersion")]
        version: String,
    }
    let version = serde_json::from_str::<Version>(stdin).map(|found| found.version);
    version
        .ok()
        .filter(|version| VERSIONS.contains(&version.as_str()))
        .unwrap_or_else(|| LATEST.to_owned())
}

fn answer(variable: &impl Fn(&str) -> Option<String>, stdin: &str) -> Result<String, CniError> {
    let command = Command::parse(&variable("CNI_COMMAND").unwrap_or_default())?;
    if command == Command::Version {
        return Ok(json!({ "cniVersion": version_of(stdin), "supportedVersions": VERSIONS }).to_string());
    }
    // A pod that cannot be taken down for a broken configuration would stay for ever; there is nothing to undo here.
    if matches!(command, Command::Del | Command::Gc) {
        return Ok(String::new());
    }
    let config = Config::parse(stdin)?;
    match command {
        Command::Add => add(variable, &config),
        Command::Check => check(variable, &config).map(|()| String::new()),
        _ => status(&config).map(|()| String::new()),
    }
}

fn previous<'a>(config: &Config<'a>) -> Result<&'a RawValue, CniError> {
    config.previous.ok_or_else(|| {
        let details = "the plugin must stand behind the one that makes the pod's network";
        CniError::new(Code::InvalidConfig, "no prevResult", details)
    })
}

/// The pod, if the agent is to be asked about it.
fn concerned(
    variable: &impl Fn(&str) -> Option<String>,
    config: &Config<'_>,
) -> Result<Option<Attachment>, CniError> {
    let attachment = Attachment::read(variable)?;
    Ok(attachment.filter(|attachment| {
        let pod = &attachment.pod;
        let prefix = config.agent_pod_prefix.as_str();
        let own = !prefix.is_empty() && pod.namespace == config.pod_namespace && pod.name.starts_with(prefix);
        config.ambient_enabled && !own && !config.exclude_namespaces.contains(&pod.namespace)
    }))
}

fn add(variable: &impl Fn(&str) -> Option<String>, config: &Config<'_>) -> Result<String, CniError> {
    let previous = previous(config)?;
    let addresses = config::addresses(previous)?;
    if let Some(Attachment { pod, uid, netns }) = concerned(variable, config)? {
        let event = AddEvent::new(&pod, uid.as_ref(), netns, &addresses);
        let answer =
            ask(config, ADD_PATH, &event).map_err(|error| unanswered(config, Code::TryAgain, &error))?;
        let unwanted =
            answer.status == 500 && STOCK_NOT_ENROLLED.iter().any(|text| answer.text.contains(text));
        if answer.status != 200 && !unwanted {
            return Err(refused(
                "the agent did not enrol the pod",
                &pod.to_string(),
                &answer,
            ));
        }
    }
    Ok(previous.get().to_owned())
}

fn check(variable: &impl Fn(&str) -> Option<String>, config: &Config<'_>) -> Result<(), CniError> {
    let addresses = config::addresses(previous(config)?)?;
    let Some(Attachment { pod, uid, netns }) = concerned(variable, config)? else {
        return Ok(());
    };
    let event = AddEvent::new(&pod, uid.as_ref(), netns, &addresses);
    let answer =
        ask(config, CHECK_PATH, &event).map_err(|error| unanswered(config, Code::TryAgain, &error))?;
    match answer.status {
        200 | 404 => Ok(()),
        _ => Err(refused(
            "the pod is not as it should be",
            &pod.to_string(),
            &answer,
        )),
    }
}

fn status(config: &Config<'_>) -> Result<(), CniError> {
    if !config.ambient_enabled || !config.status_requires_agent {
        return Ok(());
    }
    let socket = config.cni_agent_run_dir.join(SOCKET);
    let answer = client::post(&socket, STATUS_PATH, "")
        .map_err(|error| unanswered(config, Code::NotAvailable, &error))?;
    match answer.status {
        200 | 404 => Ok(()),
        _ => Err(CniError::new(
            Code::NotAvailable,
            "the agent is not ready",
            answer.text,
        )),
    }
}

fn ask(config: &Config<'_>, path: &str, event: &AddEvent) -> io::Result<Answer> {
    let body = serde_json::to_string(event).map_err(io::Error::other)?;
    client::post(&config.cni_agent_run_dir.join(SOCKET), path, &body)
}

fn unanswered(config: &Config<'_>, code: Code, error: &io::Error) -> CniError {
    let socket = config.cni_agent_run_dir.join(SOCKET);
    CniError::new(
        code,
        "the node agent does not answer",
        format!("{}: {error}", socket.display()),
    )
}

fn refused(message: &'static str, pod: &str, answer: &Answer) -> CniError {
    CniError::new(
        Code::Refused,
        message,
        format!("{pod}: HTTP {}: {}", answer.status, answer.text),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_excluded_namespace(name: &str) -> Option<String> {
        let value = match name {
            "CNI_COMMAND" => "ADD",
            "CNI_ARGS" => "K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=dns",
            _ => "x",
        };
        Some(value.to_owned())
    }

    /// JSON has no largest number, though what reads it has. Found by fuzzing.
    #[test]
    fn numbers_beyond_all_bounds_are_passed_on_and_hide_no_version() {
        let configuration = |rest: &str| {
            format!(r#"{{"cniVersion":"0.4.0","exclude_namespaces":["kube-system"],"other":1e999{rest}}}"#)
        };
        let previous = r#"{"cniVersion":"0.4.0","ips":[],"routes":[7e3330000000]}"#;
        let outcome = run(
            in_excluded_namespace,
            &configuration(&format!(r#","prevResult":{previous}"#)),
        );
        assert_eq!((outcome.stdout.as_str(), outcome.failed), (previous, false));
        let outcome = run(in_excluded_namespace, &configuration(""));
        let error: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((&error["cniVersion"], outcome.failed), (&"0.4.0".into(), true));
    }

    proptest! {
        /// Whatever comes in, what goes out is nothing, JSON, or the previous result.
        #[test]
        fn foreign_input_is_answered_in_the_form_of_the_specification(
            command in prop_oneof![Just("ADD"), Just("DEL"), Just("CHECK"), Just("STATUS"), Just("GC"), Just("VERSION"), Just("x")],
            arguments in "[A-Z0-9_=;a-z]{0,60}",
            netns in "[a-z/]{0,8}",
            stdin in prop_oneof![
                "[{}\\[\\]:,\"a-z0-9. ]{0,80}",
                "[0-9a-f./:]{0,20}".prop_map(|ip| format!(r#"{{"cniVersion":"1.0.0","cni_agent_run_dir":"/nowhere","prevResult":{{"ips":[{{"address":"{ip}"}}]}}}}"#)),
            ],
        ) {
            let variable = |name: &str| match name {
                "CNI_COMMAND" => Some(command.to_owned()),
                "CNI_ARGS" => Some(arguments.clone()),
                "CNI_NETNS" => Some(netns.clone()),
                "CNI_CONTAINERID" | "CNI_IFNAME" => Some("x".to_owned()),
                _ => None,
            };
            let outcome = run(variable, &stdin);
            let value = serde_json::from_str::<serde_json::Value>(&outcome.stdout);
            prop_assert!(value.is_ok() || (outcome.stdout.is_empty() && !outcome.failed), "{}", outcome.stdout);
            prop_assert!(!outcome.failed || value.is_ok_and(|error| error["code"].is_u64()));
        }
    }
}
