//! Kubernetes manifests that run the data plane: a text for each program, with a reason beside each permission.
//!
//! The templates are YAML. `${name}` stands for a setting; a line whose setting is not given is left out.

use super::Role;
use super::setting::{Address, FileName, Identifier, Image, Label, Name, NodePath};
use std::borrow::Cow;

const PROXY: &str = include_str!("proxy.yaml");
const AGENT: &str = include_str!("agent.yaml");

/// What a mesh may want to have otherwise.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespace of everything.
    pub namespace: Label,
    /// The revision of istiod.
    pub revision: Option<Label>,
    /// Where istiod answers; by default by its name in the namespace.
    pub istiod: Option<Address>,
    /// The cluster's name at istiod.
    pub cluster_id: Option<Identifier>,
    /// The domain of the cluster's DNS.
    pub cluster_domain: Option<Name>,
    /// The network of the nodes, in a mesh of several.
    pub network: Option<Identifier>,
    /// The Secret with credentials for the images' registry.
    pub pull_secret: Option<Name>,
    /// The nodes' folder of CNI configurations.
    pub cni_net_dir: NodePath,
    /// The nodes' folder of CNI programs.
    pub cni_bin_dir: NodePath,
    /// The one CNI configuration to be used; by default the first.
    pub cni_conf_name: Option<FileName>,
    /// Whether the proxy answers the pods' questions to DNS.
    pub dns_capture: bool,
    /// How much is logged.
    pub log_level: Option<LogLevel>,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Only what fails
    Error,
    /// Also what may soon fail
    Warn,
    /// Also each connection (default)
    Info,
    /// Also how decisions were made
    Debug,
    /// Everything
    Trace,
}

impl LogLevel {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Whether istiod as it is installed lets a proxy of this namespace ask for pods' certificates: the default of its
/// `CA_TRUSTED_NODE_ACCOUNTS`.
#[must_use]
pub fn is_trusted_by_default(namespace: &Label) -> bool {
    ["istio-system", "kube-system"].contains(&namespace.as_ref())
}

/// The manifest of a program.
#[must_use]
pub fn manifest(role: Role, image: &Image, settings: &Settings) -> String {
    let template = match role {
        Role::Proxy => PROXY,
        Role::Agent => AGENT,
    };
    render(template, |name| settings.value(name, image))
}

impl Settings {
    fn value<'a>(&'a self, name: &str, image: &'a Image) -> Option<Cow<'a, str>> {
        let flag = |on: bool, flag| on.then_some(Cow::Borrowed(flag));
        match name {
            "image" => borrowed(Some(image)),
            "namespace" => borrowed(Some(&self.namespace)),
            "revision" => borrowed(self.revision.as_ref()),
            "istiod" => Some(self.istiod_address()),
            "cluster_id" => borrowed(self.cluster_id.as_ref()),
            "cluster_domain" => borrowed(self.cluster_domain.as_ref()),
            "network" => borrowed(self.network.as_ref()),
            "pull_secret" => borrowed(self.pull_secret.as_ref()),
            "cni_net_dir" => borrowed(Some(&self.cni_net_dir)),
            "cni_bin_dir" => borrowed(Some(&self.cni_bin_dir)),
            "cni_conf_name" => borrowed(self.cni_conf_name.as_ref()),
            "log_level" => self.log_level.map(|level| level.name().into()),
            "dns_capture" => flag(!self.dns_capture, "false"),
            "no_dns_capture" => flag(!self.dns_capture, "--no-dns-capture"),
            "verbose" => {
                let verbose = matches!(self.log_level, Some(LogLevel::Debug | LogLevel::Trace));
                flag(verbose, "--verbose")
            }
            _ => None,
        }
    }

    fn istiod_address(&self) -> Cow<'_, str> {
        match (&self.istiod, &self.revision) {
            (Some(address), _) => address.as_ref().into(),
            (None, Some(revision)) if revision.as_ref() != "default" => {
                format!("istiod-{revision}.{}.svc:15012", self.namespace).into()
            }
            (None, _) => format!("istiod.{}.svc:15012", self.namespace).into(),
        }
    }
}

fn borrowed<T: AsRef<str>>(setting: Option<&T>) -> Option<Cow<'_, str>> {
    setting.map(|setting| setting.as_ref().into())
}

fn render<'a>(template: &str, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
    let mut text = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
        if let Some(line) = filled(line, &value) {
            text.push_str(&line);
        }
    }
    text
}

/// A line with its settings; `None` if one of them is not given.
fn filled<'a>(line: &str, value: &impl Fn(&str) -> Option<Cow<'a, str>>) -> Option<String> {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, (name, after))) = rest
        .split_once("${")
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        text.push_str(before);
        let value = value(name)?;
        let whole = text.ends_with(": ") && after.starts_with(['\n', ' ']);
        if whole {
            // Alone, a text may read as something else: a namespace may be called `true`.
            text.push_str(model::emit::to_text(&value.as_ref().into()).trim_end());
        } else {
            text.push_str(&value);
        }
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests;
