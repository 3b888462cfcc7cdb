//! The lines of a text, and how they end.

use std::ops::Range;

/// Where the lines of a text begin.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Cuts a text at its line feeds. A byte order mark is not part of the first line.
    pub fn of(text: &'a str) -> Self {
        let first = if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        let next = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(first)
            .chain(next.map(|(at, _)| at + 1))
            .filter(|start| *start < text.len() || *start == first)
            .collect();
        Self { text, starts }
    }

    /// The bytes of a line with its end. Lines count from 1; those behind the last one are empty.
    pub fn range(&self, line: usize) -> Range<usize> {
        self.start(line)..self.start(line + 1)
    }

    /// Where a line begins; the end of the text for lines behind the last one.
    pub fn start(&self, line: usize) -> usize {
        let index = line.saturating_sub(1);
        self.starts.get(index).copied().unwrap_or(self.text.len())
    }

    /// A line without its end.
    pub fn body(&self, line: usize) -> &'a str {
        self.text[self.range(line)].trim_end_matches(['\r', '\n'])
    }

    /// The line that holds a byte; the number after the last one for the end of the text.
    pub fn at(&self, offset: usize) -> usize {
        if offset >= self.text.len() {
            return self.starts.len() + 1;
        }
        self.starts.partition_point(|start| *start <= offset).max(1)
    }
}

/// How many spaces a line begins with; `None` for a blank one.
pub fn indentation(line: &str) -> Option<usize> {
    let rest = line.trim_start_matches(' ');
    (!rest.trim().is_empty()).then(|| line.len() - rest.len())
}

/// How the line ends that holds a byte, or if it has no end, the first one of the text.
pub fn line_end(text: &str, offset: usize) -> &'static str {
    let rest = text.as_bytes().get(offset..).unwrap_or_default();
    let end_of = |start: usize, bytes: &[u8]| {
        let feed = bytes.iter().position(|byte| *byte == b'\n')? + start;
        let before = feed.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        Some(if before == Some(&b'\r') { "\r\n" } else { "\n" })
    };
    end_of(offset, rest)
        .or_else(|| end_of(0, text.as_bytes()))
        .unwrap_or("\n")
}

/// A text with line feeds, with other line ends.
pub fn with_line_ends(text: &str, end: &str) -> String {
    if end == "\n" {
        text.to_owned()
    } else {
        text.replace('\n', end)
    }
}

/// Whether the last line may be of a text in a block (`|` or `>`) that keeps its last line end. A line that only looks like the
/// beginning of such a text counts, too.
pub fn ends_in_text_block(text: &str) -> bool {
    let mut lines = text
        .lines()
        .rev()
        .filter_map(|line| Some((indentation(line)?, line)));
    let Some((mut inner, _)) = lines.next() else {
        return false;
    };
    for (spaces, line) in lines {
        if spaces < inner {
            inner = spaces;
            if begins_text_block(line) {
                return true;
            }
        }
        if spaces == 0 {
            return false;
        }
    }
    false
}

/// Whether a line ends in `|`, `>`, or one of these with a number or `+`, perhaps with a comment behind.
fn begins_text_block(line: &str) -> bool {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let header = line.trim_end_matches(|c: char| c.is_ascii_digit() || c == '+');
    header.ends_with(['|', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_blocks_are_found_at_the_end() {
        for (text, expected) in [
            ("a: |\n  b", true),
            ("a:\n  - x: >+  # why\n      b\n\n       c", true),
            ("a: |2\r\n    b", true),
            ("a: |-\n  b", false),
            ("a: |\n  b\nc: d", false),
            ("a: |\n  b\nc:\n  d: e", false),
            ("a: b", false),
            ("", false),
        ] {
            assert_eq!(ends_in_text_block(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_have_the_ends_of_their_neighbours() {
        for (text, offset, expected) in [
            ("a\r\nb\n", 0, "\r\n"),
            ("a\r\nb\n", 3, "\n"),
            ("a\r\nb", 4, "\r\n"),
            ("a", 0, "\n"),
            ("", 7, "\n"),
        ] {
            assert_eq!(line_end(text, offset), expected, "{text:?}");
        }
        let text = "\u{feff}a\nb";
        let lines = Lines::of(text);
        assert_eq!((lines.body(1), lines.body(2), lines.body(3)), ("a", "b", ""));
        assert_eq!((lines.at(3), lines.at(5), lines.at(6)), (1, 2, 3));
    }
}
