//! `mesh-migrate plan`.

use super::args::{InputArgs, PlanArgs, Target};
use super::output::Terminal;
use super::precheck::load_rules;
use super::{CliError, inputs};
use crate::exit::Exit;
use crate::input::{traffic, witness};
use crate::plan::document::{DataPlane, Write};
use crate::plan::{self, Options, Plan, Traffic};
use crate::precheck::precheck;
use crate::report::plan::{PlanFormat, render};
use crate::report::{Command, Format};
use model::Node;
use serde_json::Value as Json;

/// How two formats are asked for.
const EXAMPLE: &str = "-o text -o yaml=plan.yaml";

/// Reads, plans, proves, and says what would be done.
pub fn run(args: &PlanArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    terminal.one_to_standard_output(&args.output, EXAMPLE)?;
    let traffic = match &args.traffic {
        Some(path) => traffic::read(path)?,
        None => Traffic::default(),
    };
    let witnesses = match &args.witness {
        Some(path) => witness::read(path)?,
        None => Vec::new(),
    };
    let rules = load_rules(&[])?;
    // Who calls whom is a matter of the whole mesh, whatever of it moves.
    let whole = InputArgs {
        namespace: Vec::new(),
        ..args.input.clone()
    };
    let input = inputs::read(&whole, terminal)?;
    let input = inputs::with_known_namespaces(input, &args.input.namespace)?;
    let judged = precheck(&input.mesh, &rules);
    let (mesh, mut report) = inputs::report(Command::Precheck, input, judged.findings, &rules);
    if !report.errors.is_empty() {
        report.findings.clear();
        let text = Target {
            format: Format::Text,
            file: None,
        };
        terminal.show(&report, &[text])?;
        return Err(CliError::Usage {
            message: "nothing was planned, because the input has errors".to_owned(),
            help: "correct them, or leave those files out".to_owned(),
        });
    }
    inputs::only_namespaces(&mut report, &args.input.namespace, &rules);
    let options = Options {
        namespaces: args.input.namespace.clone(),
        data_plane: args.data_plane,
        payload: payload(args)?,
        traffic,
        witnesses,
        source: report.source.clone(),
        accepted: args.accept_gap.clone(),
        obstacles: plan::obstacles::of(&report.findings, args.data_plane),
    };
    let made = plan::plan(&mesh, &options);
    show(&made, args, terminal)?;
    let refused = inputs::is_refused(&mesh);
    let exit = match () {
        () if refused => Exit::Cluster,
        () if made.is_safe() => Exit::Good,
        () => Exit::Findings,
    };
    std::mem::forget((mesh, report));
    Ok(exit)
}

/// The objects of our own data plane, as `payload manifests` printed them.
fn payload(args: &PlanArgs) -> Result<Vec<Write>, CliError> {
    let path = match (args.data_plane, &args.data_plane_manifests) {
        (DataPlane::Stock, _) => return Ok(Vec::new()),
        (DataPlane::MeshProxy, Some(path)) => path,
        (DataPlane::MeshProxy, None) => {
            return Err(CliError::Usage {
                message: "the plan needs the manifests of mesh-proxy and mesh-agent".to_owned(),
                help: "mesh-migrate payload manifests --hub REGISTRY/PATH > data-plane.yaml, then \
                       --data-plane-manifests data-plane.yaml"
                    .to_owned(),
            });
        }
    };
    let unusable = |reason: String| CliError::Usage {
        message: format!("`{}` holds no manifests: {reason}", path.display()),
        help: "write it anew: mesh-migrate payload manifests --hub REGISTRY/PATH".to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let mut writes = Vec::new();
    for chunk in model::yaml::documents(&text) {
        let node: Option<Node> = model::yaml::parse(chunk)
            .map_err(|error| unusable(format!("{}: {}", error.mark.line, error.message)))?;
        let manifest: Option<Json> = node.as_ref().map(Json::from);
        writes.extend(manifest.map(|manifest| Write::Create { manifest }));
    }
    match writes
        .iter()
        .find(|write| write.target().name.is_empty() || write.target().kind.is_empty())
    {
        Some(_) => Err(unusable("an object has no kind or name".to_owned())),
        None if writes.is_empty() => Err(unusable("it is empty".to_owned())),
        None => Ok(writes),
    }
}

fn show(made: &Plan, args: &PlanArgs, terminal: &Terminal) -> Result<(), CliError> {
    terminal.put(&args.output, PlanFormat::Text, EXAMPLE, |format, look, out| {
        render(made, format, look, out)
    })?;
    if let Some(path) = args.output.iter().find_map(|target| target.file.as_ref()) {
        terminal.remark(&format!(
            "wrote `{path}`; go on with: mesh-migrate apply {path}",
            path = path.display()
        ));
    }
    Ok(())
}
