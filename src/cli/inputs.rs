//! From the arguments to an [`Input`]: the only place that knows every kind of input.

use super::CliError;
use super::args::{InputArgs, Sample};
use super::output::Terminal;
use crate::convert::Outcome;
use crate::finding::Finding;
use crate::input::cluster::{self, ClusterOptions};
use crate::input::files::{self, Text};
use crate::input::{Input, snapshot};
use crate::progress::Progress;
use crate::report::Report;
use model::{Kind, ObjectRef};

/// The files of the sample, by the name under which they are reported.
const BOOKINFO: &[(&str, &str)] = &[
    (
        "bookinfo/apps.yaml",
        include_str!("../../testdata/samples/bookinfo/apps.yaml"),
    ),
    (
        "bookinfo/routing.yaml",
        include_str!("../../testdata/samples/bookinfo/routing.yaml"),
    ),
    (
        "bookinfo/security.yaml",
        include_str!("../../testdata/samples/bookinfo/security.yaml"),
    ),
];

/// Reads what the arguments name; without any, the cluster of the current context.
pub fn read(args: &InputArgs, terminal: &Terminal) -> Result<Input, CliError> {
    if let Some(Sample::Bookinfo) = args.sample {
        return Ok(sample("bookinfo", BOOKINFO));
    }
    if let Some(path) = &args.snapshot {
        return Ok(snapshot::read(path)?);
    }
    if !args.filename.is_empty() {
        let progress = Progress::start("reading files", terminal.progress);
        let input = files::read(&args.filename);
        progress.done();
        return Ok(input);
    }
    let options = cluster_options(args.context.as_ref(), &args.namespace);
    let mut progress = Progress::start("connecting", terminal.progress);
    let input = cluster::read_blocking(&options, &mut |text| progress.say(text))?;
    progress.done();
    Ok(input)
}

/// Which cluster, and how much of it.
pub fn cluster_options(context: Option<&String>, namespaces: &[String]) -> ClusterOptions {
    ClusterOptions {
        context: context.cloned(),
        namespaces: namespaces.to_vec(),
        ..ClusterOptions::default()
    }
}

fn sample(name: &str, files: &[(&str, &str)]) -> Input {
    let texts: Vec<Text> = files
        .iter()
        .map(|(name, content)| Text {
            name: (*name).into(),
            content: (*content).to_owned(),
        })
        .collect();
    Input {
        description: format!("sample `{name}`"),
        ..files::read_texts(&texts)
    }
}

/// Leaves only what is about some namespaces. The whole mesh was judged: only the answer is cut.
pub fn only_namespaces(report: &mut Report, namespaces: &[String]) {
    if namespaces.is_empty() {
        return;
    }
    let wanted = |id: &ObjectRef| match &id.namespace {
        Some(namespace) => namespaces.iter().any(|n| **n == **namespace),
        None if id.kind == Kind::Namespace => namespaces.iter().any(|n| **n == *id.name),
        None => true,
    };
    report
        .findings
        .retain(|finding: &Finding| finding.location.object.as_ref().is_none_or(wanted));
    report
        .changes
        .retain(|change| wanted(&change.id) || wanted(&change.from));
    report.outcomes.retain(|outcome: &Outcome| wanted(&outcome.id));
}
