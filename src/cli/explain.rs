//! `mesh-migrate explain`.

use super::CliError;
use super::args::ExplainArgs;
use super::output::Terminal;
use super::precheck::load_rules;
use crate::exit::Exit;
use crate::pages::{Page, pages};
use crate::report::{Look, wrapped};
use std::io;

/// Prints the page of a code or name.
pub fn run(args: &ExplainArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let pages = pages(&load_rules(&args.rules)?);
    let wanted = args.code.trim();
    let Some(page) = pages
        .iter()
        .find(|p| p.id.eq_ignore_ascii_case(wanted) || p.name.eq_ignore_ascii_case(wanted))
    else {
        let names = pages.iter().flat_map(|p| [p.id.as_str(), p.name.as_str()]);
        return Err(CliError::Usage {
            message: format!("there is no rule or message `{wanted}`"),
            help: match nearest(&wanted.to_uppercase(), names.clone()).or_else(|| nearest(wanted, names)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "codes are shown in brackets by precheck and convert, for example MM2003".to_owned(),
            },
        });
    };
    terminal.print(|out| show(page, terminal.look, out))?;
    Ok(Exit::Good)
}

fn show(page: &Page, look: Look, out: &mut dyn io::Write) -> io::Result<()> {
    let label = format!("{}[{}]", page.severity, page.id);
    writeln!(
        out,
        "{} {}",
        look.severity(page.severity, label),
        look.strong(&page.title)
    )?;
    writeln!(out, "{}", look.faint(&page.name))?;
    for (heading, text) in [
        ("Why", &page.why),
        ("Fix", &page.fix),
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
