//! From [`Node`]s to types: one pass that collects everything that is wrong, with its place, instead of
//! stopping at the first error, and that remembers the fields it does not know.

use crate::node::{Entry, Node, Value};
use crate::source::{FieldPath, Mark, Segment};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of the wrong type or outside of its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The field.
    pub path: FieldPath,
    /// Where it stands.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

/// A field that the type does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownField {
    /// The field.
    pub path: FieldPath,
    /// Where it stands.
    pub mark: Mark,
    /// The known field that is spelled most like it.
    pub similar: Option<&'static str>,
}

/// What decoding one object brought to light beside the value.
#[derive(Debug, Default)]
pub struct Decoder {
    path: FieldPath,
    /// Values that could not be read.
    pub problems: Vec<Problem>,
    /// Fields that are not part of the kind.
    pub unknown: Vec<UnknownField>,
}

impl Decoder {
    /// A decoder whose paths begin at `path`.
    #[must_use]
    pub fn at(path: FieldPath) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }

    /// Decodes the value under a key.
    pub fn field<T: Decode>(&mut self, key: &str, node: &Node) -> Option<T> {
        self.path.push(Segment::Key(Arc::from(key)));
        let value = T::decode(node, self);
        self.path.pop();
        value
    }

    /// Decodes the value of an entry.
    pub fn entry<T: Decode>(&mut self, entry: &Entry) -> Option<T> {
        self.path.push(Segment::Key(Arc::clone(&entry.key)));
        let value = T::decode(&entry.node, self);
        self.path.pop();
        value
    }

    /// Decodes an element of a list.
    pub fn item<T: Decode>(&mut self, index: usize, node: &Node) -> Option<T> {
        self.path.push(Segment::Index(index));
        let value = T::decode(node, self);
        self.path.pop();
        value
    }

    /// Notes a value that cannot be read; gives `None` for use as a tail.
    pub fn problem<T>(
        &mut self,
        node: &Node,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Option<T> {
        self.problems.push(Problem {
            path: self.path.clone(),
            mark: node.mark,
            message: message.into(),
            advice: advice.into(),
        });
        None
    }

    /// Notes a value of the wrong type.
    pub fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        let shown = match (&node.value, node.scalar_text()) {
            (Value::Str(_), Some(text)) => format!("`{}`", abbreviate(&text)),
            (_, Some(text)) => format!("{} (`{text}`)", node.type_name()),
            (_, None) => node.type_name().to_owned(),
        };
        let advice = match (what, &node.value) {
            ("text", Value::Bool(_) | Value::Int(_) | Value::Float(_)) => "put the value in quotes",
            ("a list", _) => "write it as a list, with `- ` before each element",
            ("a mapping", _) => "write it as `key: value` lines, indented under the field",
            _ => "compare the field with the reference of this kind",
        };
        self.problem(node, format!("expected {what}, found {shown}"), advice)
    }

    /// Notes a field that the type does not have.
    pub fn unknown_field(&mut self, key: &str, mark: Mark, known: &[&'static str]) {
        let similar = known
            .iter()
            .map(|name| {
                (
                    strsim::damerau_levenshtein(&name.to_lowercase(), &key.to_lowercase()),
                    *name,
                )
            })
            .filter(|(distance, name)| *distance <= 2.min(name.len() / 2))
            .min()
            .map(|(_, name)| name);
        self.unknown.push(UnknownField {
            path: self.path.key(key),
            mark,
            similar,
        });
    }
}

fn abbreviate(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("...".chars()).collect()
}

/// A type that can be read from a [`Node`].
pub trait Decode: Sized {
    /// Reads the value; on failure notes why in the decoder and gives `None`.
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self>;
}

impl Decode for String {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.as_str() {
            Some(text) => Some(text.to_owned()),
            None => decoder.expected(node, "text"),
        }
    }
}

impl Decode for bool {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.value {
            Value::Bool(flag) => Some(flag),
            _ => decoder.expected(node, "`true` or `false`"),
        }
    }
}

impl Decode for i64 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.value {
            Value::Int(number) => Some(number),
            _ => decoder.expected(node, "a whole number"),
        }
    }
}

impl Decode for u32 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.value {
            Value::Int(number) => match u32::try_from(number) {
                Ok(number) => Some(number),
                Err(_) => decoder.problem(
                    node,
                    format!("{number} is outside of 0 to {}", u32::MAX),
                    "write a whole number that is not negative",
                ),
            },
            _ => decoder.expected(node, "a whole number"),
        }
    }
}

impl Decode for f64 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.value {
            Value::Int(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => decoder.expected(node, "a number"),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if node.is_null() {
            Some(None)
        } else {
            T::decode(node, decoder).map(Some)
        }
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        T::decode(node, decoder).map(Box::new)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Seq(items) => {
                let mut values = Vec::with_capacity(items.len());
                values.extend(
                    items
                        .iter()
                        .enumerate()
                        .filter_map(|(index, item)| decoder.item(index, item)),
                );
                Some(values)
            }
            _ => decoder.expected(node, "a list"),
        }
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(
                entries
                    .iter()
                    .filter_map(|e| decoder.entry(e).map(|value| (e.key.to_string(), value)))
                    .collect(),
            ),
            _ => decoder.expected(node, "a mapping"),
        }
    }
}

/// A part that is carried along without being interpreted.
#[derive(Debug, Clone, PartialEq)]
pub struct Opaque(pub Node);

impl Decode for Opaque {
    fn decode(node: &Node, _: &mut Decoder) -> Option<Self> {
        Some(Self(node.clone()))
    }
}

/// Declares a struct with one line per field: its name, its type and its name in the manifest. `lenient`
/// records pass over fields they do not list (for kinds that we read only in part).
#[macro_export]
macro_rules! record {
    (@unknown strict, $decoder:ident, $entry:ident, $known:expr) => {
        $decoder.unknown_field(&$entry.key, $entry.mark, $known)
    };
    (@unknown lenient, $decoder:ident, $entry:ident, $known:expr) => {{}};
    ($mode:ident; $(#[$meta:meta])* pub struct $name:ident {
        $( $(#[$field_meta:meta])* pub $field:ident : $type:ty = $key:literal $(| $alias:literal)* ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $type ),* }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::node::Node, decoder: &mut $crate::decode::Decoder) -> Option<Self> {
                let $crate::node::Value::Map(entries) = &node.value else {
                    return decoder.expected(node, "a mapping");
                };
                let mut record = Self::default();
                for entry in entries {
                    match &*entry.key {
                        $( $key $(| $alias)* => {
                            if !entry.node.is_null() && let Some(value) = decoder.entry(entry) {
                                record.$field = value;
                            }
                        } )*
                        _ => { $crate::record!(@unknown $mode, decoder, entry, &[$($key),*]); }
                    }
                }
                Some(record)
            }
        }
    };
}

/// Declares an enumeration that is written as text, with one line per word.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$variant_meta])* $variant ),* }

        impl $name {
            /// The word in the manifest.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),* }
            }
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::node::Node, decoder: &mut $crate::decode::Decoder) -> Option<Self> {
                match node.as_str() {
                    $( Some($word) => Some(Self::$variant), )*
                    _ => decoder.expected(node, concat!("one of", $( " `", $word, "`" ),*)),
                }
            }
        }
    };
}
