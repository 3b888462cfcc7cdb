//! What the build script makes of the files: checked when the program is built, not when it runs.

use crate::page::Page;
use crate::set::RuleSet;
use model::Mark;
use model::decode::{Decode, Decoder};
use model::yaml;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A file that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct BuildError {
    /// The file.
    pub path: PathBuf,
    /// `line:column: what is wrong`.
    pub message: String,
}

/// Reads a YAML file of one document into a record, and refuses unknown fields.
///
/// # Errors
/// Unreadable files, bad YAML, wrong types, unknown fields.
pub fn read_record<T: Decode>(path: &Path) -> Result<T, BuildError> {
    let error = |message: String| BuildError {
        path: path.to_owned(),
        message,
    };
    let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
    parse_record(&text).map_err(error)
}

/// Reads a text of one YAML document into a record, and refuses unknown fields; the error begins with the place.
///
/// # Errors
/// Bad YAML, wrong types, unknown fields.
pub fn parse_record<T: Decode>(text: &str) -> Result<T, String> {
    parse_placed(text).map_err(|(mark, message)| format!("{}:{}: {message}", mark.line, mark.column))
}

/// Reads a text of one YAML document into a record, and refuses unknown fields.
///
/// # Errors
/// Bad YAML, wrong types, unknown fields, each with its place.
pub fn parse_placed<T: Decode>(text: &str) -> Result<T, (Mark, String)> {
    let empty = || (Mark { line: 1, column: 1 }, "the file is empty".to_owned());
    let chunk = *yaml::documents(text).first().ok_or_else(empty)?;
    let node = yaml::parse(chunk)
        .map_err(|e| (e.mark, e.message))?
        .ok_or_else(empty)?;
    let mut decoder = Decoder::default();
    let record = T::decode(&node, &mut decoder);
    if let Some(unknown) = decoder.unknown.first() {
        let advice = unknown
            .similar
            .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        return Err((unknown.mark, format!("unknown field `{}`{advice}", unknown.path)));
    }
    if let Some(problem) = decoder.problems.first() {
        return Err((problem.mark, format!("{}: {}", problem.path, problem.message)));
    }
    record.ok_or_else(|| (node.mark, "not readable".to_owned()))
}

/// Rust source of `RULES`, the file name and text of every rule in a folder.
///
/// # Errors
/// A rule that is wrong, a number or name that is used twice.
pub fn rule_table(folder: &Path) -> Result<String, BuildError> {
    let unreadable = |path: &Path, message: String| BuildError {
        path: path.to_owned(),
        message,
    };
    let paths = files(folder)?;
    let mut texts = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, e.to_string()))?;
        texts.push((shown(folder, path), text));
    }
    let borrowed: Vec<(&str, &str)> = texts.iter().map(|(file, text)| (&**file, &**text)).collect();
    RuleSet::load(&borrowed, &[]).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let name = folder.file_name().map_or(folder, Path::new);
        unreadable(name, format!("\n{}", lines.join("\n")))
    })?;
    let mut source = String::from("static RULES: &[(&str, &str)] = &[\n");
    for path in &paths {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let _ = writeln!(
            source,
            "    ({:?}, include_str!({:?})),",
            name,
            path.display().to_string()
        );
    }
    source.push_str("];\n");
    Ok(source)
}

/// The files with an extension in a folder, in the order of their names.
///
/// # Errors
/// A folder that cannot be listed.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let entries = std::fs::read_dir(folder).map_err(|e| BuildError {
        path: folder.to_owned(),
        message: e.to_string(),
    })?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    Ok(files)
}

/// Rust source of `enum Code`, one variant per message page in `folders`.
///
/// # Errors
/// A page that is incomplete, a number or name that is used twice.
pub fn message_codes(folders: &[PathBuf]) -> Result<String, BuildError> {
    let mut pages: Vec<(PathBuf, Page)> = Vec::new();
    for path in folders
        .iter()
        .map(|f| files(f))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
    {
        let page: Page = read_record(&path)?;
        let error = |message: String| BuildError {
            path: path.clone(),
            message,
        };
        check_page(&page, &path).map_err(error)?;
        if let Some((other, _)) = pages.iter().find(|(_, p)| p.id == page.id || p.name == page.name) {
            return Err(error(format!(
                "number and name must be unique, see {}",
                other.display()
            )));
        }
        pages.push((path, page));
    }
    let mut source = String::from(
        "/// A message of the program, by what it says.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\npub enum Code {\n",
    );
    for (_, page) in &pages {
        let _ = writeln!(
            source,
            "    /// {}: {}.\n    {},",
            page.id,
            page.title,
            variant(&page.name)
        );
    }
    source.push_str("}\n\nstatic PAGES: &[PageText] = &[\n");
    for (path, page) in &pages {
        let severity = page.severity.map_or("Info", |s| match s {
            crate::Severity::Info => "Info",
            crate::Severity::Warning => "Warning",
            crate::Severity::Blocker => "Blocker",
        });
        let _ = writeln!(
            source,
            "    PageText {{ id: {:?}, name: {:?}, title: {:?}, severity: Severity::{severity}, why: {:?}, fix: {:?}, source: {:?}, file: {:?} }},",
            page.id,
            page.name,
            page.title,
            page.why.trim(),
            page.fix.trim(),
            page.source.trim(),
            path.file_name().and_then(|n| n.to_str()).unwrap_or_default(),
        );
    }
    source.push_str("];\n");
    Ok(source)
}

/// A file by the last part of its folder's path, as a developer would write it.
fn shown(folder: &Path, path: &Path) -> String {
    let folder = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    format!("{folder}/{file}")
}

/// What every page must have.
///
/// # Errors
/// The first thing that is missing or malformed.
pub fn check_page(page: &Page, path: &Path) -> Result<(), String> {
    let number = page
        .id
        .strip_prefix("MM")
        .is_some_and(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_digit()));
    if !number {
        return Err(format!("`id` must be `MM` and four digits, not `{}`", page.id));
    }
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if !stem.starts_with(&page.id) {
        return Err(format!("the file's name must begin with `{}`", page.id));
    }
    let kebab = !page.name.is_empty()
        && page
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !kebab {
        return Err(format!("`name` must be words with hyphens, not `{}`", page.name));
    }
    for (field, value) in [
        ("title", &page.title),
        ("why", &page.why),
        ("fix", &page.fix),
        ("source", &page.source),
    ] {
        if value.trim().is_empty() {
            return Err(format!("`{field}` is missing"));
        }
    }
    if page.severity.is_none() {
        return Err("`severity` is missing".to_owned());
    }
    Ok(())
}

fn variant(name: &str) -> String {
    name.split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}
