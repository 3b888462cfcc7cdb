//! `mesh-migrate explain`.

use super::CliError;
use super::args::ExplainArgs;
use super::output::Terminal;
use super::precheck::load_rules;
use crate::exit::Exit;
use crate::ledger;
use crate::pages::{Page, pages};
use crate::report::{Look, wrapped};
use comfy_table::{ContentArrangement, Table, presets};
use rules::Rule;
use std::io;

/// Prints the page of a code or name, what becomes of a kind or field, or the list of all codes.
pub fn run(args: &ExplainArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let rules = load_rules(&args.rules)?;
    let pages = pages(&rules);
    let Some(code) = &args.code else {
        terminal.print(|out| list(&pages, terminal.look, out))?;
        return Ok(Exit::Good);
    };
    let wanted = code.trim();
    if let Some(exit) = super::explain_field::run(wanted, terminal)? {
        return Ok(exit);
    }
    let Some(page) = pages
        .iter()
        .find(|p| p.id.eq_ignore_ascii_case(wanted) || p.name.eq_ignore_ascii_case(wanted))
    else {
        let kinds = ledger::tables().iter().map(|table| table.kind);
        let names = pages
            .iter()
            .flat_map(|p| [p.id.as_str(), p.name.as_str()])
            .chain(kinds);
        return Err(CliError::Usage {
            message: format!("there is no rule, message or kind `{wanted}`"),
            help: match nearest(&wanted.to_uppercase(), names.clone()).or_else(|| nearest(wanted, names)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "list all with: mesh-migrate explain".to_owned(),
            },
        });
    };
    terminal.print(|out| show(page, rules.get(&page.id), terminal.look, out))?;
    Ok(Exit::Good)
}

fn list(pages: &[Page], look: Look, out: &mut dyn io::Write) -> io::Result<()> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["CODE", "SEVERITY", "NAME", "TITLE"]);
    if let Some(width) = look.width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    for page in pages {
        let severity = page.severity.as_str();
        table.add_row([
            page.id.as_str(),
            severity,
            page.name.as_str(),
            page.title.as_str(),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())
}

fn show(page: &Page, rule: Option<&Rule>, look: Look, out: &mut dyn io::Write) -> io::Result<()> {
    let label = format!("{}[{}]", page.severity, page.id);
    writeln!(
        out,
        "{} {}",
        look.severity(page.severity, label),
        look.strong(&page.title)
    )?;
    writeln!(out, "{}", look.faint(&page.name))?;
    let applies_to = rule.map_or(String::new(), |rule| rule.applies_to.name().to_owned());
    let condition = rule.map_or(String::new(), |rule| rule.condition.text.clone());
    for (heading, text) in [
        ("Why", &page.why),
        ("Fix", &page.fix),
        ("Applies to", &applies_to),
        ("Condition", &condition),
        ("Source", &page.source),
        ("Read more", &page.docs),
    ] {
        if text.trim().is_empty() {
            continue;
        }
        writeln!(out, "\n{}", look.strong(heading))?;
        for line in text.trim().lines() {
            writeln!(out, "  {}", wrapped(line, look.width, 2))?;
        }
    }
    Ok(())
}

/// The candidate that is spelled most like a word, if any is close.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.min(candidate.len() / 2))
        .min()
        .map(|(_, candidate)| candidate)
}
