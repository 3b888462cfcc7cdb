//! What the build script makes of the files: checked when the program is built, not when it runs.

use crate::page::Page;
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
    let chunk = *yaml::documents(text).first().ok_or("the file is empty")?;
    let node = yaml::parse(chunk)
        .map_err(|e| format!("{}:{}: {}", e.mark.line, e.mark.column, e.message))?
        .ok_or("the file is empty")?;
    let mut decoder = Decoder::default();
    let record = T::decode(&node, &mut decoder);
    if let Some(unknown) = decoder.unknown.first() {
        return Err(format!(
            "{}:{}: unknown field `{}`",
            unknown.mark.line, unknown.mark.column, unknown.path
        ));
    }
    if let Some(problem) = decoder.problems.first() {
        return Err(format!(
            "{}:{}: {}: {}",
            problem.mark.line, problem.mark.column, problem.path, problem.message
        ));
    }
    record.ok_or_else(|| "not readable".to_owned())
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
