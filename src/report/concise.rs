//! One line per finding: `place: severity[CODE]: message`.

use super::{Report, clean};
use std::io::{self, Write};

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for finding in report.all() {
        let place = finding.location.to_string();
        let message = clean(&finding.message);
        writeln!(
            out,
            "{}: {}[{}]: {message}",
            clean(&place),
            finding.severity,
            finding.code
        )?;
    }
    for gap in &report.gaps {
        writeln!(out, "cluster: warning[partial]: {}", clean(gap))?;
    }
    for change in &report.changes {
        writeln!(
            out,
            "{}: new: from {}",
            clean(&change.id.to_string()),
            clean(&change.from.to_string())
        )?;
    }
    Ok(())
}
