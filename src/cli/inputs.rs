//! From the arguments to an [`Input`]: the only place that knows every kind of input.

use super::CliError;
use super::args::{InputArgs, Sample};
use super::explain::nearest;
use super::output::Terminal;
use crate::convert::Outcome;
use crate::finding::Finding;
use crate::input::cluster::{self, ClusterOptions};
use crate::input::files::{self, Text};
use crate::input::{Input, snapshot};
use crate::pages::pages;
use crate::progress::Progress;
use crate::report::{Command, Report};
use model::{Coverage, Kind, Mesh, ObjectRef};
use rayon::slice::ParallelSliceMut as _;
use rules::{Rule, RuleSet, Subject};
use std::collections::BTreeSet;

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
        return with_known_namespaces(sample("bookinfo", BOOKINFO), &args.namespace);
    }
    if let Some(path) = &args.snapshot {
        return with_known_namespaces(snapshot::read(path)?, &args.namespace);
    }
    if !args.filename.is_empty() {
        let progress = Progress::start("reading files", terminal.progress);
        let input = files::read(&args.filename);
        progress.done();
        return with_known_namespaces(input, &args.namespace);
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

/// Refuses a namespace that nothing is in: with a typing error in its name, an empty answer would look like a
/// clean one. Input with errors may hold it all the same.
pub fn with_known_namespaces(input: Input, wanted: &[String]) -> Result<Input, CliError> {
    let known: BTreeSet<&str> = input
        .mesh
        .ids()
        .filter_map(|id| match id.kind {
            Kind::Namespace => Some(&*id.name),
            _ => id.namespace.as_deref(),
        })
        .collect();
    let unknown = wanted.iter().find(|name| !known.contains(name.as_str()));
    let Some(name) = unknown.filter(|_| input.errors.is_empty()) else {
        return Ok(input);
    };
    let names: Vec<&str> = known.into_iter().collect();
    Err(CliError::Usage {
        message: format!("{} has nothing in the namespace `{name}`", input.description),
        help: match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "there is no object with a namespace in it".to_owned(),
            None => format!("there are: {}", names.join(", ")),
        },
    })
}

/// Whether a cluster did not show everything that was asked for.
pub fn is_refused(mesh: &Mesh) -> bool {
    matches!(&mesh.coverage, Coverage::Cluster(cluster) if !cluster.unreadable.is_empty())
}

/// Whether a rule is about what all namespaces share, and so stands in the way of each.
fn is_shared(rule: &Rule) -> bool {
    match rule.applies_to {
        Subject::MeshFacts
        | Subject::IstioCni
        | Subject::Node
        | Subject::CniDirectory
        | Subject::Cilium
        | Subject::Calico
        | Subject::CalicoFeature
        | Subject::Aws
        | Subject::Istiod
        | Subject::MeshConfig
        | Subject::Component
        | Subject::GatewayApi
        | Subject::GatewayApiCrd
        | Subject::RootPolicy => true,
        Subject::CiliumPolicy
        | Subject::HboneSetting
        | Subject::ProxyGroup
        | Subject::WaypointReference
        | Subject::Namespace
        | Subject::Workload
        | Subject::Policy
        | Subject::RequestAuthentication
        | Subject::PeerAuthentication
        | Subject::TargetRef => false,
    }
}

/// Leaves only what is about some namespaces. The whole mesh was judged: only the answer is cut.
pub fn only_namespaces(report: &mut Report, namespaces: &[String], rules: &RuleSet) {
    if namespaces.is_empty() {
        return;
    }
    let wanted = |id: &ObjectRef| match &id.namespace {
        Some(namespace) => namespaces.iter().any(|n| **n == **namespace),
        None if id.kind == Kind::Namespace => namespaces.iter().any(|n| **n == *id.name),
        None => true,
    };
    report.findings.retain(|finding: &Finding| {
        finding.location.object.as_ref().is_none_or(wanted) || rules.get(&finding.code).is_some_and(is_shared)
    });
    report
        .changes
        .retain(|change| wanted(&change.id) || wanted(&change.from));
    report.outcomes.retain(|outcome: &Outcome| wanted(&outcome.id));
}

/// A report of what was judged, with what reading brought to light; the mesh goes on by itself.
pub fn report(command: Command, input: Input, judged: Vec<Finding>, rules: &RuleSet) -> (Mesh, Report) {
    // Of a large mesh there are many, and mostly no notes.
    let mut findings = if input.notes.is_empty() {
        judged
    } else {
        let mut findings = input.notes;
        findings.extend(judged);
        findings
    };
    findings.par_sort_unstable_by(Finding::order);
    let report = Report {
        command,
        source: input.description,
        errors: input.errors,
        gaps: input.gaps,
        findings,
        passed: Vec::new(),
        not_checked: Vec::new(),
        changes: Vec::new(),
        outcomes: Vec::new(),
        pages: pages(rules),
    };
    (input.mesh, report)
}
