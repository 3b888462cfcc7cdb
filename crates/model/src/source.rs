//! Where a value came from: a place in a file, or a field of an object in the cluster.

use std::fmt;
use std::sync::Arc;

/// A place in a text: line and column, both counted from 1; `line == 0` means "no text behind this value".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Mark {
    /// The mark of values that were never text, such as objects read from the API server.
    pub const NONE: Mark = Mark { line: 0, column: 0 };

    /// Whether this mark names a real place in a text.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.line > 0
    }
}

/// The document that an object was read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A file, or `<stdin>`, by the name under which the user gave it.
    File(Arc<str>),
    /// The API server or a snapshot of it.
    Cluster,
}

/// A step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field or map key.
    Key(Arc<str>),
    /// An index into a list, from 0.
    Index(usize),
}

/// A path to a field in an object, printed as `spec.http[1].match[0].uri`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// The path of the object itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// `spec`, where nearly every path begins.
    #[must_use]
    pub fn spec() -> Self {
        Self::root().key("spec")
    }

    /// This path extended by a field.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        self.with(Segment::Key(crate::yaml::interned(name)))
    }

    /// This path extended by a list index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The steps of this path.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    pub(crate) fn push(&mut self, segment: Segment) {
        self.0.push(segment);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(key)?;
                }
                Segment::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

/// Whether a key can stand in a path without brackets and quotes.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_users_write_them() {
        let path = FieldPath::spec().key("http").index(1).key("headers").key("x.y/z");
        assert_eq!(path.to_string(), r#"spec.http[1].headers["x.y/z"]"#);
    }
}
