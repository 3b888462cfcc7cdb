//! `mesh-migrate explain` for kinds and their fields: the rows of the field ledger.

use super::CliError;
use super::explain::nearest;
use super::output::Terminal;
use crate::exit::Exit;
use crate::ledger::{Row, Table, table, tables};
use crate::report::{Look, wrapped};
use comfy_table::{ContentArrangement, Table as Columns, presets};
use std::io;

/// How far the texts of a row are indented.
const INDENT: usize = 13;
/// How many fields of a row are spelled out before its pattern is shown instead.
const MAX_FIELDS: usize = 3;

/// Prints the rows of a kind or field; `None` if the words name no kind.
pub fn run(wanted: &str, terminal: &Terminal) -> Result<Option<Exit>, CliError> {
    let (kind, path) = wanted.split_once('.').unwrap_or((wanted, ""));
    let Some(table) = table(kind) else {
        return match kind_meant(kind) {
            Some(near) if !path.is_empty() => Err(unknown(wanted, Some(format!("{near}.{path}")))),
            _ => Ok(None),
        };
    };
    if path.is_empty() {
        terminal.print(|out| overview(table, terminal.look, out))?;
        return Ok(Some(Exit::Good));
    }
    let mut rows = table.below(path);
    if rows.is_empty() {
        let of_object = table
            .object
            .iter()
            .filter(|row| row.field.eq_ignore_ascii_case(path));
        rows.extend(of_object.map(|row| (row, Vec::new())));
    }
    if rows.is_empty() {
        let near = field_meant(table, path).map(|near| format!("{}.{near}", table.kind));
        return Err(unknown(wanted, near));
    }
    terminal.print(|out| {
        for (position, (row, fields)) in rows.iter().enumerate() {
            if position > 0 {
                writeln!(out)?;
            }
            show(table, row, fields, terminal.look, out)?;
        }
        Ok(())
    })?;
    Ok(Some(Exit::Good))
}

fn unknown(wanted: &str, near: Option<String>) -> CliError {
    let (kind, _) = wanted.split_once('.').unwrap_or((wanted, ""));
    CliError::Usage {
        message: format!("there is no field `{wanted}`"),
        help: match (near, table(kind)) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(table)) => format!("list all with: mesh-migrate explain {}", table.kind),
            (None, None) => "list all with: mesh-migrate explain".to_owned(),
        },
    }
}

fn kind_meant(word: &str) -> Option<&'static str> {
    let lower: Vec<String> = tables().iter().map(|table| table.kind.to_lowercase()).collect();
    let near = nearest(&word.to_lowercase(), lower.iter().map(String::as_str))?.to_owned();
    table(&near).map(|table| table.kind)
}

/// The field that is spelled most like a path, or the uppermost with the same last word.
fn field_meant(table: &Table, path: &str) -> Option<String> {
    let names = table.names();
    let plain = path
        .trim_start_matches("spec.")
        .replace("[]", "")
        .replace("{}", "")
        .to_lowercase();
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let spelled = nearest(&plain, lower.iter().map(String::as_str));
    let last = plain.rsplit('.').next().unwrap_or(&plain);
    let ending = |name: &&String| {
        let name = name.rsplit('.').next().unwrap_or(name);
        nearest(last, [name].into_iter()).is_some()
    };
    let found = spelled.or_else(|| {
        lower
            .iter()
            .filter(ending)
            .min_by_key(|name| {
                let distance = name
                    .rsplit('.')
                    .next()
                    .map(|end| strsim::damerau_levenshtein(end, last));
                (distance, name.matches('.').count())
            })
            .map(String::as_str)
    })?;
    names
        .iter()
        .find(|name| name.eq_ignore_ascii_case(found))
        .cloned()
}

fn overview(table: &Table, look: Look, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{}", look.strong(table.kind))?;
    writeln!(out, "{}\n", look.faint(table.group))?;
    writeln!(out, "{}\n", wrapped(table.about, look.width, 0))?;
    let mut columns = Columns::new();
    columns
        .load_style(presets::NOTHING)
        .set_header(["FIELD", "IS", "CODES"]);
    if let Some(width) = look.width {
        columns
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    for row in table.object.iter().chain(table.rows) {
        let outcomes: Vec<&str> = row.outcomes.iter().map(|(outcome, _)| outcome.as_str()).collect();
        columns.add_row([row.field.to_owned(), outcomes.join(", "), row.codes.join(", ")]);
    }
    writeln!(out, "{}", columns.trim_fmt())?;
    let example = table.names().into_iter().next().unwrap_or_default();
    writeln!(
        out,
        "\n{}",
        look.faint(format!(
            "one field: mesh-migrate explain {}.{example}",
            table.kind
        ))
    )
}

fn show(
    table: &Table,
    row: &Row,
    fields: &[(&'static str, u32)],
    look: Look,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        writeln!(out, "{}", look.strong(format!("{}.{}", table.kind, row.field)))?;
    } else {
        for (field, _) in fields {
            writeln!(out, "{}", look.strong(format!("{}.{field}", table.kind)))?;
        }
    }
    let mut line = |heading: &str, text: &str| {
        let heading = format!("  {heading:<width$}", width = INDENT - 2);
        writeln!(
            out,
            "{}{}",
            look.faint(heading),
            wrapped(text, look.width, INDENT)
        )
    };
    for (outcome, condition) in row.outcomes {
        line(outcome.as_str(), condition)?;
    }
    line("traffic", row.traffic)?;
    let messages = row
        .pages()
        .map(|page| format!("{} {}: {}", page.id, page.name, page.title));
    let sources = row.sources.iter().map(|&source| source.to_owned());
    let lists = [
        ("messages", messages.collect::<Vec<_>>()),
        ("since", since(fields).into_iter().collect()),
        ("sources", sources.collect()),
    ];
    for (heading, texts) in lists {
        for (position, text) in texts.iter().enumerate() {
            line(if position == 0 { heading } else { "" }, text)?;
        }
    }
    Ok(())
}

/// Which release the fields came with, unless all supported ones have them.
fn since(fields: &[(&str, u32)]) -> Option<String> {
    let (_, first) = fields.first()?;
    let newest = fields.iter().map(|(_, since)| *since).max()?;
    if newest <= 24 {
        return None;
    }
    if fields.iter().all(|(_, since)| since == first) {
        return Some(format!("Istio 1.{first}"));
    }
    let new = fields
        .iter()
        .filter(|(_, since)| *since > 24)
        .map(|(field, since)| format!("{field}: Istio 1.{since}"));
    Some(new.collect::<Vec<_>>().join(", "))
}
