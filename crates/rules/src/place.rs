//! Where a character of an expression stands in the file that the expression was read from.

use model::Mark;
use model::decode::{Decode, Decoder};
use model::node::Node;

/// A text that knows where it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spanned {
    /// The text.
    pub text: String,
    /// Where its value begins.
    pub mark: Mark,
}

impl Decode for Spanned {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        String::decode(node, decoder).map(|text| Self {
            text,
            mark: node.mark,
        })
    }
}

/// The place in `file` of the character at `offset` (counted in characters) of a scalar.
///
/// Folding and indentation change blanks only, so the n-th character that is no blank is the same in both.
#[must_use]
pub fn of_offset(file: &str, scalar: &Spanned, offset: usize) -> Mark {
    let solid = |text: &str, limit: usize| text.chars().take(limit).filter(|c| !c.is_whitespace()).count();
    // What is missing at the end is told at the last character.
    let last = solid(&scalar.text, usize::MAX).saturating_sub(1);
    let start = byte_of(file, scalar.mark);
    let rest = &file[start..];
    let (skip, doubled) = match rest.chars().next() {
        Some('|' | '>') => (rest.find('\n').map_or(rest.len(), |end| end + 1), None),
        Some('\'') => (1, Some('\'')),
        Some('"') => (1, Some('\\')),
        _ => (0, None),
    };
    let mut remaining = solid(&scalar.text, offset).min(last);
    let mut mark = scalar.mark;
    let mut escaped = false;
    for (position, c) in rest.char_indices() {
        let counts = position >= skip && !c.is_whitespace() && (escaped || Some(c) != doubled);
        if position >= skip {
            escaped = !escaped && Some(c) == doubled;
        }
        if counts {
            if remaining == 0 {
                return mark;
            }
            remaining -= 1;
        }
        if c == '\n' {
            mark.line += 1;
            mark.column = 1;
        } else {
            mark.column += 1;
        }
    }
    scalar.mark
}

fn byte_of(file: &str, mark: Mark) -> usize {
    let mut offset = 0;
    for (number, line) in (1u32..).zip(file.split_inclusive('\n')) {
        if number == mark.line {
            let column = usize::try_from(mark.column).unwrap_or(1).saturating_sub(1);
            return offset + line.char_indices().nth(column).map_or(0, |(byte, _)| byte);
        }
        offset += line.len();
    }
    0
}
