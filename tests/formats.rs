//! One report through every format, and real output against the published schemas.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use clap::ValueEnum as _;
use mesh_migrate::code::Code;
use mesh_migrate::convert::{Change, Disposition, Outcome};
use mesh_migrate::finding::{Finding, Location};
use mesh_migrate::pages::pages;
use mesh_migrate::precheck::{NotChecked, Passed, load_rules};
use mesh_migrate::report::{Command, Format, Look, Report, render};
use model::{FieldPath, Kind, Mark, ObjectRef, Origin};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

fn id(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef {
        namespace: Some("shop".into()),
        kind,
        name: name.into(),
    }
}

fn finding(code: Code, place: (&str, u32, u32), object: Option<ObjectRef>, message: &str) -> Finding {
    let (file, line, column) = place;
    let location = Location {
        origin: if file.is_empty() {
            Origin::Cluster
        } else {
            Origin::File(file.into())
        },
        mark: Mark { line, column },
        path: if object.is_some() {
            FieldPath::spec().key("http").index(1)
        } else {
            FieldPath::root()
        },
        object,
    };
    code.finding(location, message)
}

/// A report with everything that a report can hold, and with text that is up to no good.
fn rich(command: Command) -> Report {
    let service = id(Kind::VirtualService, "reviews");
    let policy = id(Kind::AuthorizationPolicy, "viewer");
    let before = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "viewer"}, "spec": {"selector": {"matchLabels": {"app": "reviews"}}, "action": "ALLOW"}});
    let after = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "viewer-waypoint"}, "spec": {"targetRefs": [{"kind": "Service", "name": "reviews"}], "action": "ALLOW"}});
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "reviews"}, "spec": {"note": "```\u{1b}[31m"}});
    Report {
        command,
        source: "3 files".to_owned(),
        errors: vec![finding(
            Code::DuplicateKey,
            ("a dir/b,c.yaml", 4, 3),
            None,
            "the key `name` stands twice",
        )],
        gaps: vec!["`AuthorizationPolicy` may not be listed | in <shop>".to_owned()],
        findings: vec![
            finding(
                Code::UnknownField,
                ("shop.yaml", 12, 5),
                Some(service.clone()),
                "`spec.htttp` is not a field 100% & \"known\"",
            ),
            finding(
                Code::UnknownField,
                ("", 0, 0),
                Some(policy.clone()),
                "a name with \u{1b}[2Jan \u{9b}31mescape\u{202e}\n::error::and a line",
            ),
            finding(
                Code::TemplateSkipped,
                ("chart.yaml", 1, 1),
                None,
                "this is a template (Helm) @team",
            ),
        ],
        passed: vec![Passed {
            code: "MM1101".into(),
            title: "It is <all> right".into(),
        }],
        not_checked: vec![NotChecked {
            code: "MM1102".into(),
            name: "unknown".into(),
            title: "It is not known".into(),
            missing: "the DaemonSet `istio-cni-node`".into(),
        }],
        changes: vec![
            Change {
                id: id(Kind::AuthorizationPolicy, "viewer-waypoint"),
                instead_of: None,
                from: policy.clone(),
                before: Some((&before).into()),
                after: (&after).into(),
            },
            Change {
                id: id(Kind::HttpRoute, "reviews"),
                instead_of: None,
                from: service.clone(),
                before: None,
                after: (&route).into(),
            },
        ],
        outcomes: vec![
            Outcome {
                id: policy,
                origin: Origin::Cluster,
                disposition: Disposition::Converted,
            },
            Outcome {
                id: service,
                origin: Origin::File("shop.yaml".into()),
                disposition: Disposition::Kept,
            },
        ],
        pages: pages(&load_rules(&[]).unwrap()),
    }
}

fn rendered(command: Command, format: Format, look: Look) -> String {
    let mut bytes = Vec::new();
    render(&rich(command), format, look, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn name(format: Format) -> String {
    format.to_possible_value().unwrap().get_name().to_owned()
}

#[test]
fn every_format_shows_the_whole_report() {
    for command in [Command::Precheck, Command::Convert] {
        for format in Format::value_variants() {
            let text = rendered(command, *format, Look::default());
            assert!(
                !text.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'),
                "{format:?} lets an escape sequence through"
            );
            let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
            insta::assert_snapshot!(format!("{}_{}", command.name(), name(*format)), text);
        }
    }
}

#[test]
fn text_has_colours_width_and_levels_of_detail() {
    let looks = [
        (
            "color",
            Look {
                color: true,
                ..Look::default()
            },
        ),
        (
            "narrow",
            Look {
                width: Some(60),
                ..Look::default()
            },
        ),
        (
            "verbose",
            Look {
                verbose: true,
                ..Look::default()
            },
        ),
        (
            "quiet",
            Look {
                quiet: true,
                ..Look::default()
            },
        ),
    ];
    for (label, look) in looks {
        let text = rendered(Command::Convert, Format::Text, look);
        insta::assert_snapshot!(format!("text_{label}"), text.replace('\u{1b}', "ESC"));
    }
}

#[test]
fn long_lists_are_cut_on_a_terminal_only() {
    let terminal = Look {
        width: Some(80),
        ..Look::default()
    };
    let verbose = Look {
        verbose: true,
        ..terminal
    };
    let mut report = rich(Command::Precheck);
    report.findings = (1..=1000)
        .map(|line| finding(Code::UnknownField, ("shop.yaml", line, 1), None, "unknown"))
        .collect();
    for (look, listed, cut) in [
        (terminal, 8, true),
        (verbose, 1000, false),
        (Look::default(), 1000, false),
    ] {
        let mut bytes = Vec::new();
        render(&report, Format::Text, look, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("shop.yaml:").count(), listed, "{look:?}");
        assert_eq!(text.contains("… and 992 more"), cut, "{look:?}");
        assert_eq!(text.matches("fix: correct the spelling").count(), 1, "{look:?}");
    }
}

#[test]
fn text_ends_with_what_to_type_next() {
    let last = |report: &Report| {
        let mut bytes = Vec::new();
        render(report, Format::Text, Look::default(), &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().last().unwrap().to_owned()
    };
    let mut report = rich(Command::Precheck);
    assert_eq!(last(&report), "next: mesh-migrate explain MM2003");
    report.errors.clear();
    assert_eq!(last(&report), "next: mesh-migrate explain MM2005");
    report.findings.clear();
    // A part of a mesh without findings is no reason to go on.
    assert!(!last(&report).contains("next:"));
    report.gaps.clear();
    assert_eq!(
        last(&report),
        "next: mesh-migrate convert --dry-run, with the same input"
    );
}

fn schema(path: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    // A stray bracket in the official schema of SARIF, which only lenient regular expressions take.
    let text = text.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}?$");
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// What the program prints for the sample, for bad input, and for the rich report.
fn outputs(format: &str) -> Vec<String> {
    let real = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bad"))
            .env_clear()
            .args(arguments)
            .args(["-o", format])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let mut outputs = vec![
        real(&["precheck", "--sample", "bookinfo"]),
        real(&["convert", "--dry-run", "--sample", "bookinfo"]),
        real(&["precheck", "-f", "."]),
        real(&["convert", "--dry-run", "-f", "."]),
    ];
    let format = Format::from_str(format, false).unwrap();
    outputs.extend([Command::Precheck, Command::Convert].map(|c| rendered(c, format, Look::default())));
    outputs
}

fn assert_valid(schema: &jsonschema::Validator, text: &str) {
    let value: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = schema
        .iter_errors(&value)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// The published schema lets fields be added; here a field that it does not describe is an error.
fn closed(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // `after` and `before` are objects of Kubernetes, whose fields are not described.
            if map.get("properties").is_some() {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(closed);
        }
        Value::Array(list) => list.iter_mut().for_each(closed),
        _ => {}
    }
}

#[test]
fn json_follows_its_published_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report-v1.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(!schema.to_string().contains("additionalProperties"));
    closed(&mut schema);
    let schema = jsonschema::validator_for(&schema).unwrap();
    for text in outputs("json") {
        assert_valid(&schema, &text);
    }
    assert!(!schema.is_valid(&json!({"version": 1})));
}

#[test]
fn sarif_follows_the_official_schema() {
    let schema = schema("testdata/schemas/sarif-2.1.0-rtm.5.json");
    for text in outputs("sarif") {
        assert_valid(&schema, &text);
    }
    assert!(!schema.is_valid(&json!({"version": "2.1.0"})));
}

#[test]
fn junit_follows_a_common_schema() {
    let xsd = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/schemas/junit.xsd");
    for text in outputs("junit") {
        let child = std::process::Command::new("xmllint")
            .args(["--noout", "--schema"])
            .arg(&xsd)
            .arg("-")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            // Unlike `eprintln!`, this is shown although the test passes.
            writeln!(
                std::io::stderr(),
                "skipped: junit_follows_a_common_schema: xmllint is not installed (package libxml2-utils)"
            )
            .unwrap();
            return;
        };
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}\n{text}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
