//! A plan for people, and as a file for `apply`.

use super::{Look, clean, counted, wrapped};
use crate::finding::Severity;
use crate::plan::Plan;
use crate::plan::document::{Step, Write as PlanWrite};
use clap::ValueEnum;
use serde_json::Value as Json;
use std::io::{self, Write};

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// For `apply`
    Yaml,
    /// For `apply` and for programs
    Json,
}

/// Writes a plan.
///
/// # Errors
/// Those of the writer.
pub fn render(plan: &Plan, format: PlanFormat, look: Look, out: &mut dyn Write) -> io::Result<()> {
    match format {
        PlanFormat::Text => Text { plan, look, out }.all(),
        PlanFormat::Yaml => out.write_all(model::yaml::to_text(&tree(plan)?).as_bytes()),
        PlanFormat::Json => writeln!(out, "{:#}", tree(plan)?),
    }
}

fn tree(plan: &Plan) -> io::Result<Json> {
    serde_json::to_value(plan).map_err(io::Error::other)
}

struct Text<'a> {
    plan: &'a Plan,
    look: Look,
    out: &'a mut dyn Write,
}

impl Text<'_> {
    fn all(&mut self) -> io::Result<()> {
        self.waves()?;
        self.steps()?;
        self.staying()?;
        self.assumptions()?;
        self.gaps()?;
        self.summary()
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}\n", self.look.strong(text))
    }

    fn item(&mut self, indent: usize, text: &str) -> io::Result<()> {
        let lead = " ".repeat(indent);
        writeln!(
            self.out,
            "{lead}{}",
            wrapped(&clean(text), self.look.width, indent + 2)
        )
    }

    fn waves(&mut self) -> io::Result<()> {
        if self.plan.waves.is_empty() || self.look.quiet {
            return Ok(());
        }
        self.heading("What moves")?;
        for (number, wave) in self.plan.waves.iter().enumerate() {
            let count = counted(wave.workloads.len(), "workload");
            self.item(
                2,
                &format!("{}. {}: {count}", number + 1, wave.namespaces.join(", ")),
            )?;
            let why = self.look.faint(clean(&wave.why));
            writeln!(self.out, "     {why}")?;
        }
        writeln!(self.out)
    }

    fn steps(&mut self) -> io::Result<()> {
        if self.look.quiet {
            return Ok(());
        }
        self.heading("Steps")?;
        for step in &self.plan.steps {
            self.step(step)?;
        }
        writeln!(self.out)
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        let asks = if step.asks { " (asks first)" } else { "" };
        let id = self.look.place(&step.id);
        writeln!(self.out, "  {id}  {}{asks}", clean(&step.title))?;
        if self.look.verbose {
            for write in &step.writes {
                self.item(6, &in_words(write))?;
            }
            for check in &step.checks {
                self.item(6, &format!("then: {}", check.in_words()))?;
            }
            self.item(6, &format!("undo: {}", step.undo))?;
        }
        if step.proof.states > 0 && (self.look.verbose || !step.proof.otherwise.is_empty()) {
            let proof = &step.proof;
            let checked = format!(
                "checked on {} in {}",
                counted(proof.requests, "request"),
                counted(proof.states, "state")
            );
            writeln!(self.out, "      {}", self.look.faint(checked))?;
        }
        for sentence in &step.proof.otherwise {
            let lead = self.look.severity(Severity::Blocker, "otherwise than before:");
            writeln!(
                self.out,
                "      {lead} {}",
                wrapped(&clean(sentence), self.look.width, 8)
            )?;
        }
        Ok(())
    }

    fn staying(&mut self) -> io::Result<()> {
        if self.plan.staying.is_empty() {
            return Ok(());
        }
        self.heading("What stays on sidecars")?;
        for staying in &self.plan.staying {
            self.item(2, &format!("{}: {}", staying.workload, staying.why))?;
        }
        writeln!(self.out)
    }

    fn assumptions(&mut self) -> io::Result<()> {
        if self.plan.assumptions.is_empty() || self.look.quiet {
            return Ok(());
        }
        self.heading("Taken to be true")?;
        for assumption in &self.plan.assumptions {
            self.item(2, &format!("- {assumption}"))?;
        }
        writeln!(self.out)
    }

    fn gaps(&mut self) -> io::Result<()> {
        if self.plan.gaps.is_empty() {
            return Ok(());
        }
        let heading = self.look.severity(
            Severity::Blocker,
            "Gaps: `apply` refuses until each is accepted by name",
        );
        writeln!(self.out, "{heading}\n")?;
        for gap in &self.plan.gaps {
            self.item(2, &format!("--accept-gap {}", gap.id))?;
            self.item(6, &gap.what)?;
            self.item(6, &format!("fix: {}", gap.fix))?;
        }
        writeln!(self.out)
    }

    fn summary(&mut self) -> io::Result<()> {
        let plan = self.plan;
        let moving: usize = plan.waves.iter().map(|wave| wave.workloads.len()).sum();
        let (requests, states) = plan.steps.iter().fold((0, 0), |(requests, states), step| {
            (requests + step.proof.requests, states + step.proof.states)
        });
        let mut text = format!(
            "{}: {} in {}, {} stay",
            plan.source,
            format_args!("{} to move", counted(moving, "workload")),
            counted(plan.steps.len(), "step"),
            plan.staying.len(),
        );
        if states > 0 {
            text.push_str(&format!(
                "; checked on {} in {}",
                counted(requests, "request"),
                counted(states, "state")
            ));
        }
        let unsafe_steps = plan
            .steps
            .iter()
            .filter(|step| !step.proof.otherwise.is_empty())
            .count();
        let verdict = match (unsafe_steps, plan.gaps.len()) {
            _ if moving == 0 => "nothing moves".to_owned(),
            (0, 0) if states == 0 => "not checked".to_owned(),
            (0, 0) => "no request is decided otherwise than before".to_owned(),
            (0, gaps) => format!("{} to accept", counted(gaps, "gap")),
            (steps, _) => format!(
                "{} would decide requests otherwise than before",
                counted(steps, "step")
            ),
        };
        writeln!(self.out, "{}", clean(&format!("{text}; {verdict}")))
    }
}

fn in_words(write: &PlanWrite) -> String {
    let target = write.target();
    match write {
        PlanWrite::Create { .. } => format!("+ {target}"),
        PlanWrite::Set { manifest } => format!("~ {target}: {}", fields(manifest)),
        PlanWrite::Unlabel { label, value, .. } => format!("- {target}: label {label}: {value}"),
        PlanWrite::Delete { .. } => format!("- {target}"),
    }
}

/// The fields of a partial manifest, as `path: value`.
fn fields(manifest: &Json) -> String {
    fn walk(path: &str, value: &Json, found: &mut Vec<String>) {
        match value {
            Json::Object(map) => {
                for (key, value) in map {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(&format!("{path}{dot}{key}"), value, found);
                }
            }
            Json::String(text) => found.push(format!("{path}: {text}")),
            other => found.push(format!("{path}: {other}")),
        }
    }
    let mut found = Vec::new();
    walk("", manifest, &mut found);
    let identity = [
        "apiVersion: ",
        "kind: ",
        "metadata.name: ",
        "metadata.namespace: ",
    ];
    found.retain(|field| !identity.iter().any(|part| field.starts_with(part)));
    found.join(", ")
}
