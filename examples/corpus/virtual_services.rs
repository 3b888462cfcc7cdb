//! How many VirtualServices become routes, how many work at a waypoint as they are, and what is said of the rest.

use mesh_migrate::convert::{Disposition, Options, assumed_services, convert};
use mesh_migrate::finding::Severity;
use mesh_migrate::input::files::read;
use model::{Kind, ObjectRef};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

/// Messages that are no blockers, and yet of an object that a waypoint may read otherwise than sidecars did: hosts
/// outside of the input, several objects for one host, objects that stand twice or that Istio refuses.
const NOT_THE_SAME: [&str; 4] = ["MM3106", "MM3109", "MM3116", "MM3157"];

/// VirtualServices by what became of them.
#[derive(Debug, Default)]
pub struct Counts {
    converted: usize,
    /// Rules for gateways alone, which stay where they are, or none.
    nothing_to_do: usize,
    /// Kept, and read by a waypoint exactly as by sidecars.
    kept: usize,
    /// All others, by the messages that name the reason.
    named: BTreeMap<String, usize>,
}

impl Counts {
    /// Of files, each read on its own, with the Services that it names as if they were there.
    pub fn of(files: &[PathBuf]) -> Self {
        let mut counts = Self::default();
        for file in files {
            let mesh = read(std::slice::from_ref(file)).mesh;
            let assumed = assumed_services(&mesh);
            let mesh = mesh.with_services(assumed);
            let conversion = convert(&mesh, Options::of(&mesh));
            let mut reasons: BTreeMap<&ObjectRef, BTreeSet<&str>> = BTreeMap::new();
            for finding in &conversion.findings {
                let is_reason =
                    finding.severity == Severity::Blocker || NOT_THE_SAME.contains(&&*finding.code);
                if let (true, Some(object)) = (is_reason, &finding.location.object) {
                    reasons.entry(object).or_default().insert(&finding.code);
                }
            }
            for outcome in conversion
                .outcomes
                .iter()
                .filter(|outcome| outcome.id.kind == Kind::VirtualService)
            {
                counts.take(outcome.disposition, reasons.get(&outcome.id));
            }
        }
        counts
    }

    fn take(&mut self, disposition: Disposition, reasons: Option<&BTreeSet<&str>>) {
        match (disposition, reasons) {
            (Disposition::Converted, _) => self.converted += 1,
            (Disposition::Kept, None) => self.kept += 1,
            (Disposition::Kept, Some(codes)) => {
                let codes: Vec<&str> = codes.iter().copied().collect();
                *self.named.entry(codes.join(" ")).or_default() += 1;
            }
            (Disposition::NothingToDo | Disposition::NotOurs, _) => self.nothing_to_do += 1,
        }
    }

    /// As a table.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let named: usize = self.named.values().sum();
        let carried = self.converted + self.nothing_to_do + self.kept;
        let all = carried + named;
        writeln!(
            out,
            "\nOf {all} VirtualServices, {:.1} % become routes or work as they are, when each file is read with \
             `--assume-services`:\n",
            100.0 * carried as f64 / all.max(1) as f64
        )?;
        writeln!(out, "| VirtualServices | |\n|---|---:|")?;
        writeln!(out, "| converted | {} |", self.converted)?;
        writeln!(out, "| kept, exact at a waypoint | {} |", self.kept)?;
        writeln!(
            out,
            "| nothing to do: for gateways, which keep them, or without rules | {} |",
            self.nothing_to_do
        )?;
        for (codes, count) in &self.named {
            writeln!(out, "| {codes} | {count} |")?;
        }
        Ok(())
    }
}
