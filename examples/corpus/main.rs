//! Runs reading, precheck and convert over every file of a folder, each on its own, and prints what became of it
//! as Markdown: `cargo run --release --example corpus -- FOLDER > docs/corpus.md`.

mod virtual_services;

use mesh_migrate::convert::{Disposition, Options, assumed_services, convert};
use mesh_migrate::input::files::read;
use mesh_migrate::input::{DocumentKind, Input};
use mesh_migrate::precheck::{load_rules, precheck};
use model::Origin;
use rules::RuleSet;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use virtual_services::Counts;

/// What became of a file as a whole: the first of these that holds for one of its documents.
const RESULTS: [&str; 7] = [
    "panic",
    "unreadable",
    "converted",
    "kept",
    "nothing to do",
    "template",
    "not ours",
];

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let rules = load_rules(&[]).unwrap_or_default();
    let mut files: Vec<PathBuf> = ignore::WalkBuilder::new(&folder)
        .standard_filters(false)
        .build()
        .flatten()
        .map(ignore::DirEntry::into_path)
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
        })
        .collect();
    files.sort();
    let with_folder = converted_with_folder(&files);
    let mut rows = Vec::new();
    let (mut results, mut codes, mut kinds) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for path in &files {
        let (result, detail) = catch_unwind(AssertUnwindSafe(|| judge(path, &rules, &mut codes, &mut kinds)))
            .unwrap_or(("panic", String::new()));
        let result = if result == "kept" && with_folder.contains(path) {
            "converted"
        } else {
            result
        };
        *results.entry(result).or_insert(0) += 1;
        let name = path.strip_prefix(&folder).unwrap_or(path).display().to_string();
        rows.push(format!("| {name} | {result} | {detail} |"));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "# What becomes of real configuration\n")?;
    writeln!(
        out,
        "Made by `cargo run --release --example corpus -- FOLDER > docs/corpus.md` over {} files of public",
        files.len()
    )?;
    writeln!(
        out,
        "repositories, each read on its own; `converted` are those of which an object converts alone or together"
    )?;
    writeln!(
        out,
        "with the other files of its folder. Most files hold VirtualServices or policies without the Services that"
    )?;
    writeln!(
        out,
        "they are for; such objects are kept, because ports and selected pods are then unknown. The tables of"
    )?;
    writeln!(out, "kinds and messages count the files on their own.\n")?;
    writeln!(out, "| result | files |\n|---|---:|")?;
    for result in RESULTS {
        writeln!(out, "| {result} | {} |", results.get(result).unwrap_or(&0))?;
    }
    Counts::of(&files).write(&mut out)?;
    writeln!(
        out,
        "\n| kind | converted | kept | nothing to do | not ours |\n|---|---:|---:|---:|---:|"
    )?;
    for (kind, counts) in &kinds {
        let [converted, kept, nothing, not_ours]: &[usize; 4] = counts;
        writeln!(out, "| {kind} | {converted} | {kept} | {nothing} | {not_ours} |")?;
    }
    writeln!(out, "\n| message | times |\n|---|---:|")?;
    for (code, count) in &codes {
        writeln!(out, "| {code} | {count} |")?;
    }
    writeln!(out, "\n| file | result | what there is to say |\n|---|---|---|")?;
    for row in rows {
        writeln!(out, "{row}")?;
    }
    Ok(())
}

fn judge(
    path: &Path,
    rules: &RuleSet,
    codes: &mut BTreeMap<String, usize>,
    kinds: &mut BTreeMap<String, [usize; 4]>,
) -> (&'static str, String) {
    let input = read(&[path.to_owned()]);
    let judged = precheck(&input.mesh, rules);
    let conversion = convert(&input.mesh, Options::of(&input.mesh));
    for outcome in &conversion.outcomes {
        kinds.entry(outcome.id.kind.to_string()).or_default()[column(outcome.disposition)] += 1;
    }
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    let findings = input
        .errors
        .iter()
        .chain(&input.notes)
        .chain(&judged.findings)
        .chain(&conversion.findings);
    for finding in findings {
        *said.entry(finding.code.to_string()).or_default() += 1;
        *codes
            .entry(format!("{} {}", finding.code, finding.name))
            .or_default() += 1;
    }
    let said: Vec<String> = said
        .iter()
        .map(|(code, count)| {
            if *count > 1 {
                format!("{code}×{count}")
            } else {
                code.clone()
            }
        })
        .collect();
    let place = input
        .errors
        .first()
        .map(|e| format!(" at {}:{}", e.location.mark.line, e.location.mark.column));
    let has = |disposition| conversion.outcomes.iter().any(|o| o.disposition == disposition);
    let result = if !input.errors.is_empty() {
        "unreadable"
    } else if has(Disposition::Converted) {
        "converted"
    } else if has(Disposition::Kept) {
        "kept"
    } else if has(Disposition::NothingToDo) || has_settings(&input) {
        "nothing to do"
    } else if input
        .documents
        .iter()
        .any(|d| matches!(d.kind, DocumentKind::Template(_)))
    {
        "template"
    } else {
        "not ours"
    };
    (result, format!("{}{}", said.join(" "), place.unwrap_or_default()))
}

/// The files of which an object converts when the whole folder is given.
fn converted_with_folder(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let mut converted = BTreeSet::new();
    for folder in folders {
        let inside: Vec<PathBuf> = files
            .iter()
            .filter(|file| file.parent() == Some(folder))
            .cloned()
            .collect();
        let mesh = read(&inside).mesh;
        let assumed = assumed_services(&mesh);
        let conversion = convert(&mesh.with_services(assumed), Options::default());
        let outcomes = conversion
            .outcomes
            .iter()
            .filter(|o| o.disposition == Disposition::Converted);
        converted.extend(outcomes.filter_map(|outcome| match &outcome.origin {
            Origin::File(name) => Some(PathBuf::from(&**name)),
            Origin::Cluster => None,
        }));
    }
    converted
}

fn has_settings(input: &Input) -> bool {
    input
        .documents
        .iter()
        .any(|document| document.kind == DocumentKind::Settings)
}

fn column(disposition: Disposition) -> usize {
    match disposition {
        Disposition::Converted => 0,
        Disposition::Kept => 1,
        Disposition::NothingToDo => 2,
        Disposition::NotOurs => 3,
    }
}
