//! The page of a rule or a message: what `explain` prints and every report refers to.

use model::{record, words};

words! {
    /// How bad a finding is.
    pub enum Severity {
        /// Told once.
        Info = "info",
        /// Works differently; someone must decide.
        Warning = "warning",
        /// Traffic is lost, let in, or encrypted differently, or a component cannot run.
        Blocker = "blocker",
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

record! { strict;
    /// A message with its explanation, one YAML file each.
    pub struct Page {
        /// `MM` and four digits; never used for something else later.
        pub id: String = "id",
        /// Words with hyphens.
        pub name: String = "name",
        /// One sentence without a full stop.
        pub title: String = "title",
        /// How bad it is.
        pub severity: Option<Severity> = "severity",
        /// Why it is so.
        pub why: String = "why",
        /// What to do.
        pub fix: String = "fix",
        /// Where the knowledge comes from.
        pub source: String = "source",
    }
}
