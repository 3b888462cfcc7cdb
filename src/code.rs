//! The messages of input and conversion, by name; made from their pages by the build script.

use crate::finding::{Finding, Location};
use model::room::exact_text;
use rules::Severity;
use std::borrow::Cow;

/// The page of a message.
#[derive(Debug)]
pub struct PageText {
    /// `MM` and four digits.
    pub id: &'static str,
    /// Words with hyphens.
    pub name: &'static str,
    /// One sentence.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Why it is so.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Where the knowledge comes from.
    pub source: &'static str,
    /// The file of the page.
    pub file: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/codes.rs"));

impl Code {
    /// The page of this message.
    #[must_use]
    pub fn page(self) -> &'static PageText {
        &PAGES[self as usize]
    }

    /// All pages, in the order of their numbers.
    #[must_use]
    pub fn pages() -> &'static [PageText] {
        PAGES
    }

    /// A finding with this message's code, severity and general advice.
    #[must_use]
    pub fn finding(self, location: Location, message: impl Into<String>) -> Finding {
        self.finding_with_fix(location, message, self.page().fix)
    }

    /// A finding with advice of its own.
    #[must_use]
    pub fn finding_with_fix(
        self,
        location: Location,
        message: impl Into<String>,
        fix: impl Into<Cow<'static, str>>,
    ) -> Finding {
        let page = self.page();
        Finding {
            code: page.id.into(),
            name: page.name.into(),
            severity: page.severity,
            location,
            message: exact_text(message.into()),
            fix: fix.into(),
        }
    }
}
