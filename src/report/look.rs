//! Colours by meaning, and lines that fit.

use crate::finding::Severity;
use anstyle::{AnsiColor, Style};

/// How text for people looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Whether to use colours.
    pub color: bool,
    /// The width of the terminal; none in a pipe, where nothing is wrapped or shortened.
    pub width: Option<usize>,
    /// Also what passed, and all of long lists.
    pub verbose: bool,
    /// Only what is wrong.
    pub quiet: bool,
}

impl Look {
    /// The text in a style, if there are colours.
    pub(crate) fn paint(self, style: Style, text: impl AsRef<str>) -> String {
        let text = text.as_ref();
        if self.color {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn severity(self, severity: Severity, text: impl AsRef<str>) -> String {
        self.paint(severity_style(severity), text)
    }

    pub(crate) fn strong(self, text: impl AsRef<str>) -> String {
        self.paint(Style::new().bold(), text)
    }

    pub(crate) fn faint(self, text: impl AsRef<str>) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    pub(crate) fn place(self, text: impl AsRef<str>) -> String {
        self.paint(AnsiColor::Cyan.on_default(), text)
    }

    pub(crate) fn good(self, text: impl AsRef<str>) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    pub(crate) fn bad(self, text: impl AsRef<str>) -> String {
        self.paint(AnsiColor::Red.on_default(), text)
    }
}

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Blocker => AnsiColor::Red.on_default().bold(),
        Severity::Warning => AnsiColor::Yellow.on_default().bold(),
        Severity::Info => AnsiColor::Blue.on_default().bold(),
    }
}

/// The text in lines of at most `width`, all but the first behind `indent` spaces. Words are never cut.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let mut lines = String::new();
    let mut column = indent;
    for (position, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if position > 0 {
            if column + 1 + length > width && column > indent {
                lines.push('\n');
                lines.push_str(&" ".repeat(indent));
                column = indent;
            } else {
                lines.push(' ');
                column += 1;
            }
        }
        lines.push_str(word);
        column += length;
    }
    lines
}
