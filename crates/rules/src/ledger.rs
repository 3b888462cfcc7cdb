//! The field ledger: what `convert` does with every field of Istio's kinds, and which release has which field. The
//! build script reads the tables, checks them and turns them into source, so that a hole in a table does not
//! compile.

use crate::build::{BuildError, files, read_record};
use crate::page::Page;
use model::{record, words};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

words! {
    /// What `convert` does with a field, from best to worst.
    pub enum Outcome {
        /// New objects say the same, exactly.
        Converted = "converted",
        /// The old object stays and means the same in ambient mode.
        Kept = "kept",
        /// New objects refuse more than the old ones did.
        Stricter = "stricter",
        /// There is nothing in ambient mode that does it; someone has to decide before the move.
        Blocker = "blocker",
        /// The field changes nothing that a request meets, or nothing needs to be done; it is mentioned.
        Told = "told",
    }
}

record! { strict;
    /// What becomes of one field, or of several of which the same is true.
    pub struct Row {
        /// A [`Pattern`] of paths below `spec`.
        pub field: String = "field",
        /// When it is converted, and to what.
        pub converted: Option<String> = "converted",
        /// When it is kept.
        pub kept: Option<String> = "kept",
        /// When the new objects refuse more.
        pub stricter: Option<String> = "stricter",
        /// When it stands in the way of the move.
        pub blocker: Option<String> = "blocker",
        /// When it is only mentioned.
        pub told: Option<String> = "told",
        /// What it means for traffic in ambient mode.
        pub traffic: String = "traffic",
        /// Codes of the messages; `-` for one that is still missing.
        pub codes: Vec<String> = "codes",
        /// Keys of the table's sources.
        pub source: Vec<String> = "source",
    }
}

record! { strict;
    /// All fields of a kind.
    pub struct Table {
        /// The kind.
        pub kind: String = "kind",
        /// Its API group.
        pub group: String = "group",
        /// What becomes of objects of this kind, in a few sentences.
        pub about: String = "about",
        /// Where the knowledge comes from, by a short key.
        pub sources: BTreeMap<String, String> = "sources",
        /// What is said of the object as a whole, or of its `metadata`: of no field below `spec`. `field` is `metadata`
        /// with or without a path below, or `spec`.
        pub object: Vec<Row> = "object",
        /// The rows.
        pub rows: Vec<Row> = "rows",
    }
}

impl Row {
    /// What is done with the field, each with its condition.
    #[must_use]
    pub fn outcomes(&self) -> Vec<(Outcome, &str)> {
        [
            (Outcome::Converted, &self.converted),
            (Outcome::Kept, &self.kept),
            (Outcome::Stricter, &self.stricter),
            (Outcome::Blocker, &self.blocker),
            (Outcome::Told, &self.told),
        ]
        .into_iter()
        .filter_map(|(outcome, text)| Some((outcome, text.as_deref()?.trim())))
        .collect()
    }
}

/// Paths of fields: `a[].b{}.c` as in a schema, where `[]` marks a list and `{}` a mapping. `{x,y}` stands for either
/// text, `*` for one segment, `**` for one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Vec<String>>);

impl Pattern {
    /// Reads a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let alternatives = spelled_out(text);
        Self(
            alternatives
                .iter()
                .map(|plain| plain.split('.').map(str::to_owned).collect())
                .collect(),
        )
    }

    /// Whether a path is one of those.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let segments: Vec<&str> = path.split('.').collect();
        self.0.iter().any(|pattern| fits(pattern, &segments))
    }

    /// The alternatives that are none of these paths.
    fn idle<'a>(&'a self, paths: &'a [&str]) -> impl Iterator<Item = String> + 'a {
        self.0
            .iter()
            .filter(|pattern| {
                !paths
                    .iter()
                    .any(|path| fits(pattern, &path.split('.').collect::<Vec<_>>()))
            })
            .map(|pattern| pattern.join("."))
    }
}

fn spelled_out(text: &str) -> Vec<String> {
    let open = text
        .match_indices('{')
        .map(|(at, _)| text.split_at(at))
        .find(|(_, rest)| !rest.starts_with("{}"));
    let Some((head, (choices, tail))) = open.and_then(|(head, rest)| Some((head, choices(rest.get(1..)?)?)))
    else {
        return vec![text.to_owned()];
    };
    choices
        .into_iter()
        .flat_map(|choice| spelled_out(&format!("{head}{choice}{tail}")))
        .collect()
}

/// The alternatives up to the closing brace, and what is behind it.
fn choices(text: &str) -> Option<(Vec<&str>, &str)> {
    let mut found = Vec::new();
    let (mut start, mut depth) = (0, 0_u32);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                found.push(text.get(start..at)?);
                return Some((found, text.get(at + 1..)?));
            }
            ',' if depth == 0 => {
                found.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

fn fits(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), Some((_, tail))) if first == "**" => fits(rest, tail) || fits(pattern, tail),
        (Some((first, rest)), Some((segment, tail))) => {
            (first == "*" || first == segment) && fits(rest, tail)
        }
        _ => false,
    }
}

/// A field of an Istio kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IstioField {
    /// The kind.
    pub kind: String,
    /// Its path below `spec`, as in a [`Pattern`].
    pub path: String,
    /// Minor version of the first release that has it; 24 also stands for all before.
    pub since: u32,
}

/// A field of the Gateway API, or one value of it, or `(kind)` for a kind itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayField {
    /// The kind.
    pub kind: String,
    /// Its API version.
    pub version: String,
    /// The path with `spec.`, and `=value` where it is about a value.
    pub field: String,
    /// Minor version of the first release whose standard channel has it.
    pub standard: Option<u32>,
    /// The same for the experimental channel.
    pub experimental: Option<u32>,
}

/// Reads the lines of a table, without its comments, each with as many cells as `N`.
fn cells<const N: usize>(path: &Path) -> Result<Vec<[String; N]>, BuildError> {
    let error = |message: String| BuildError {
        path: path.to_owned(),
        message,
    };
    let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
        .map(|(number, line)| {
            let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            <[String; N]>::try_from(cells).map_err(|_| error(format!("{}:1: not {N} cells", number + 1)))
        })
        .collect()
}

fn minor(text: &str) -> Option<u32> {
    let mut parts = text.trim_start_matches('v').split('.');
    parts.next().filter(|major| *major == "1")?;
    parts.next()?.parse().ok()
}

/// The fields of Istio's kinds.
///
/// # Errors
/// A table that cannot be read.
pub fn istio_fields(path: &Path) -> Result<Vec<IstioField>, BuildError> {
    let rows = cells::<3>(path)?.into_iter().map(|[kind, field, since]| {
        let since = minor(&since).ok_or_else(|| BuildError {
            path: path.to_owned(),
            message: format!("{kind}.{field}: `{since}` is no release"),
        })?;
        Ok(IstioField {
            kind,
            path: field,
            since,
        })
    });
    rows.collect()
}

/// The fields of the Gateway API that `convert` may write.
///
/// # Errors
/// A table that cannot be read.
pub fn gateway_fields(path: &Path) -> Result<Vec<GatewayField>, BuildError> {
    let rows = cells::<5>(path)?;
    Ok(rows
        .into_iter()
        .map(|[kind, version, field, standard, experimental]| GatewayField {
            kind,
            version,
            field,
            standard: minor(&standard),
            experimental: minor(&experimental),
        })
        .collect())
}

/// All tables in a folder.
///
/// # Errors
/// A table that cannot be read.
pub fn tables(folder: &Path) -> Result<Vec<(PathBuf, Table)>, BuildError> {
    files(folder)?
        .into_iter()
        .map(|path| read_record(&path).map(|table| (path, table)))
        .collect()
}

/// What is wrong with a table: fields without a row, rows without a field, fields with two rows, unknown codes and
/// sources, rows that say nothing.
#[must_use]
pub fn faults(table: &Table, fields: &[&str], codes: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let patterns: Vec<(&Row, Pattern)> = table
        .rows
        .iter()
        .map(|row| (row, Pattern::new(&row.field)))
        .collect();
    for field in fields {
        let rows: Vec<&str> = patterns
            .iter()
            .filter(|(_, pattern)| pattern.covers(field))
            .map(|(row, _)| row.field.as_str())
            .collect();
        match rows.as_slice() {
            [] => faults.push(format!("`{field}` has no row")),
            [_] => {}
            several => faults.push(format!("`{field}` has several rows: {}", several.join(", "))),
        }
    }
    for (row, pattern) in &patterns {
        faults.extend(
            pattern
                .idle(fields)
                .map(|idle| format!("the row `{}` is for no field: {idle}", row.field)),
        );
        faults.extend(
            row_faults(row, table, codes)
                .into_iter()
                .map(|fault| format!("the row `{}` {fault}", row.field)),
        );
    }
    for row in &table.object {
        if !["metadata", "spec"].contains(&row.field.split('.').next().unwrap_or_default()) {
            faults.push(format!("`{}` is no part of the object", row.field));
        }
        faults.extend(
            row_faults(row, table, codes)
                .into_iter()
                .map(|fault| format!("the object's row `{}` {fault}", row.field)),
        );
    }
    if table.about.trim().is_empty() {
        faults.push("`about` is missing".to_owned());
    }
    let rows = table.object.iter().chain(&table.rows);
    let named: BTreeSet<&String> = rows.flat_map(|row| &row.source).collect();
    for key in table.sources.keys().filter(|key| !named.contains(key)) {
        faults.push(format!("no row names the source `{key}`"));
    }
    faults
}

fn row_faults(row: &Row, table: &Table, codes: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let outcomes = row.outcomes();
    if outcomes.is_empty() {
        faults.push("does not say what is done".to_owned());
    }
    if row.traffic.trim().is_empty() {
        faults.push("does not say what it means for traffic".to_owned());
    }
    let loud = outcomes
        .iter()
        .find(|(outcome, _)| matches!(outcome, Outcome::Stricter | Outcome::Blocker | Outcome::Told));
    if let Some((outcome, _)) = loud.filter(|_| row.codes.is_empty()) {
        faults.push(format!("is {} without a code", outcome.as_str()));
    }
    for code in row
        .codes
        .iter()
        .filter(|code| *code != "-" && !codes.contains(*code))
    {
        faults.push(format!("names the unknown code {code}"));
    }
    if row.source.is_empty() {
        faults.push("has no source".to_owned());
    }
    for key in row.source.iter().filter(|key| !table.sources.contains_key(*key)) {
        faults.push(format!("names the unknown source `{key}`"));
    }
    faults
}

/// Rust source of `TABLES` and `GATEWAY_API` from the tables in a folder; codes are those of the pages in `messages`.
///
/// # Errors
/// What [`faults`] finds in any table, or a kind without a table.
pub fn source(folder: &Path, messages: &[PathBuf]) -> Result<String, BuildError> {
    let mut codes = BTreeSet::new();
    for folder in messages {
        for path in files(folder)? {
            codes.insert(read_record::<Page>(&path)?.id);
        }
    }
    let fields_path = folder.join("istio-fields.tsv");
    let fields = istio_fields(&fields_path)?;
    let mut text = String::from("static TABLES: &[Table] = &[\n");
    let tables = tables(folder)?;
    for (path, table) in &tables {
        let own: Vec<&IstioField> = fields.iter().filter(|field| field.kind == table.kind).collect();
        let paths: Vec<&str> = own.iter().map(|field| field.path.as_str()).collect();
        let faults = faults(table, &paths, &codes);
        if !faults.is_empty() {
            return Err(BuildError {
                path: path.clone(),
                message: faults.join("\n"),
            });
        }
        write_table(&mut text, table, &own);
    }
    text.push_str("];\n\n");
    let lost = fields
        .iter()
        .find(|field| tables.iter().all(|(_, table)| table.kind != field.kind));
    if let Some(field) = lost {
        return Err(BuildError {
            path: fields_path,
            message: format!("there is no table for the kind {}", field.kind),
        });
    }
    text.push_str("static GATEWAY_API: &[GatewayField] = &[\n");
    for field in gateway_fields(&folder.join("gateway-api-fields.tsv"))? {
        let _ = writeln!(
            text,
            "    GatewayField {{ kind: {:?}, version: {:?}, field: {:?}, standard: {:?}, experimental: {:?} }},",
            field.kind, field.version, field.field, field.standard, field.experimental
        );
    }
    text.push_str("];\n");
    Ok(text)
}

fn write_table(text: &mut String, table: &Table, fields: &[&IstioField]) {
    let _ = writeln!(
        text,
        "    Table {{ kind: {:?}, group: {:?}, about: {:?}, object: &[",
        table.kind,
        table.group,
        table.about.trim()
    );
    write_rows(text, table, &table.object, &[]);
    text.push_str("    ], rows: &[\n");
    write_rows(text, table, &table.rows, fields);
    text.push_str("    ] },\n");
}

fn write_rows(text: &mut String, table: &Table, rows: &[Row], fields: &[&IstioField]) {
    for row in rows {
        let pattern = Pattern::new(&row.field);
        let outcomes: Vec<String> = row
            .outcomes()
            .iter()
            .map(|(outcome, condition)| format!("(Outcome::{outcome:?}, {condition:?})"))
            .collect();
        let sources: Vec<&String> = row
            .source
            .iter()
            .filter_map(|key| table.sources.get(key))
            .collect();
        let covered: Vec<(&str, u32)> = fields
            .iter()
            .filter(|field| pattern.covers(&field.path))
            .map(|field| (field.path.as_str(), field.since))
            .collect();
        let codes: Vec<&String> = row.codes.iter().filter(|code| *code != "-").collect();
        let _ = writeln!(
            text,
            "        Row {{ field: {:?}, outcomes: &[{}], traffic: {:?}, codes: &{codes:?}, sources: &{sources:?}, fields: &{covered:?} }},",
            row.field,
            outcomes.join(", "),
            row.traffic.trim(),
        );
    }
}

#[cfg(test)]
mod tests;
