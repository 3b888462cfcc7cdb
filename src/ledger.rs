//! The field ledger: what `convert` does with every field of Istio's kinds, and which release of the Gateway API has
//! which field. The tables are files in `ledger/`, checked and embedded by the build script.

use crate::code::{Code, PageText};
pub use rules::ledger::Outcome;

/// All fields of a kind.
#[derive(Debug)]
pub struct Table {
    /// The kind.
    pub kind: &'static str,
    /// Its API group.
    pub group: &'static str,
    /// What becomes of objects of this kind.
    pub about: &'static str,
    /// What is said of the object as a whole; these rows have no fields.
    pub object: &'static [Row],
    /// The rows, in the order of the schema as far as it reads well.
    pub rows: &'static [Row],
}

/// What becomes of one field, or of several of which the same is true.
#[derive(Debug)]
pub struct Row {
    /// The pattern of the fields, see [`rules::ledger::Pattern`].
    pub field: &'static str,
    /// What is done, from best to worst, each with its condition.
    pub outcomes: &'static [(Outcome, &'static str)],
    /// What it means for traffic in ambient mode.
    pub traffic: &'static str,
    /// Codes of the messages that say so.
    pub codes: &'static [&'static str],
    /// Where the knowledge comes from.
    pub sources: &'static [&'static str],
    /// The fields below `spec`, and the minor version of the first Istio that has each; 24 also stands for all before.
    pub fields: &'static [(&'static str, u32)],
}

/// A field of the Gateway API, or one value of it, or `(kind)` for a kind itself.
#[derive(Debug)]
pub struct GatewayField {
    /// The kind.
    pub kind: &'static str,
    /// Its API version.
    pub version: &'static str,
    /// The path with `spec.`, and `=value` where it is about a value.
    pub field: &'static str,
    /// Minor version of the first release whose standard channel has it; 0 also stands for all before.
    pub standard: Option<u32>,
    /// The same for the experimental channel.
    pub experimental: Option<u32>,
}

include!(concat!(env!("OUT_DIR"), "/ledger.rs"));

/// The tables of all kinds, in the order of their names.
#[must_use]
pub fn tables() -> &'static [Table] {
    TABLES
}

/// The fields of the Gateway API that `convert` may write, with the releases that have them.
#[must_use]
pub fn gateway_api() -> &'static [GatewayField] {
    GATEWAY_API
}

/// The table of a kind, without regard to case.
#[must_use]
pub fn table(kind: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.kind.eq_ignore_ascii_case(kind))
}

impl Table {
    /// The rows with the fields at or below a path as a person writes it: with or without `spec.`, `[]`, indexes and
    /// keys of mappings, in any case.
    #[must_use]
    pub fn below(&self, path: &str) -> Vec<(&'static Row, Vec<(&'static str, u32)>)> {
        let wanted = written(path);
        let found = |key: usize| -> Vec<_> {
            let rows = self.rows.iter().filter_map(|row| {
                let fields = row
                    .fields
                    .iter()
                    .filter(|(field, _)| is_below(&segments(field), &wanted, key));
                let fields: Vec<_> = fields.copied().collect();
                (!fields.is_empty()).then_some((row, fields))
            });
            rows.collect()
        };
        // The shortest key that makes sense of the path.
        (0..=wanted.len())
            .map(found)
            .find(|rows| !rows.is_empty())
            .unwrap_or_default()
    }

    /// The paths of all fields and of what is above them, as a person would write them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (field, _) in self.rows.iter().flat_map(|row| row.fields) {
            let segments: Vec<&str> = segments(field).into_iter().map(|segment| segment.name).collect();
            names.extend((1..=segments.len()).filter_map(|end| Some(segments.get(..end)?.join("."))));
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Row {
    /// The pages of the codes.
    pub fn pages(&self) -> impl Iterator<Item = &'static PageText> {
        Code::pages().iter().filter(|page| self.codes.contains(&page.id))
    }
}

struct Segment<'a> {
    name: &'a str,
    is_map: bool,
}

/// A path of the schema in parts.
fn segments(field: &str) -> Vec<Segment<'_>> {
    field
        .split('.')
        .map(|part| Segment {
            name: part.trim_end_matches("[]").trim_end_matches("{}"),
            is_map: part.contains("{}"),
        })
        .collect()
}

/// A path of a person in parts: indexes and keys in brackets are left out, they select no other field.
fn written(path: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in path.trim().chars() {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter.to_ascii_lowercase()),
            _ => {}
        }
    }
    let parts = plain.split('.').filter(|part| !part.is_empty());
    let mut parts: Vec<String> = parts
        .filter(|part| !part.bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    if parts.first().is_some_and(|first| first == "spec") {
        parts.remove(0);
    }
    parts
}

/// Whether a field is at or below a path, in which up to `key` parts behind a mapping may be a key of it: keys have no
/// brackets there and may have dots.
fn is_below(field: &[Segment<'_>], wanted: &[String], key: usize) -> bool {
    let (Some((name, rest)), Some((segment, tail))) = (wanted.split_first(), field.split_first()) else {
        return wanted.is_empty();
    };
    if !segment.name.eq_ignore_ascii_case(name) {
        return false;
    }
    let mut skipped = 0..=if segment.is_map { key } else { 0 };
    skipped.any(|parts| rest.get(parts..).is_some_and(|rest| is_below(tail, rest, key)))
}
