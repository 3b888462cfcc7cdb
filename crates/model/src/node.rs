//! The tree that every document becomes before it gets a type: plain values, each with its place.

use crate::source::{FieldPath, Mark, Segment};
use std::sync::Arc;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the value begins.
    pub mark: Mark,
    /// The value itself.
    pub value: Value,
}

/// A JSON value, with its scalars resolved as the API server's YAML reader resolves them.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that fits into 64 bits with sign.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(Box<str>),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub mark: Mark,
    /// The key.
    pub key: Arc<str>,
    /// The value under the key.
    pub node: Node,
}

impl Node {
    /// A node that has no place in a text.
    #[must_use]
    pub fn unplaced(value: Value) -> Self {
        Self {
            mark: Mark::NONE,
            value,
        }
    }

    /// The value under `key`, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| &*e.key == key).map(|e| &e.node),
            _ => None,
        }
    }

    /// The value at the end of a chain of keys.
    #[must_use]
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as text: how environment variables and chart values are compared.
    #[must_use]
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Str(text) => Some(text.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Null | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    /// The elements, if this is a list; else none.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    /// The entries, if this is a mapping; else none.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What kind of value this is, in the words of an error message.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "text",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The place of the field at `path`: of its key where it is a field, of the element where it is in a
    /// list, and of the deepest part that exists where the path leads further than the document does.
    #[must_use]
    pub fn mark_of(&self, path: &FieldPath) -> Mark {
        let mut mark = self.mark;
        let mut node = self;
        for segment in path.segments() {
            match segment {
                Segment::Key(key) => {
                    let Some(entry) = node.entries().iter().find(|e| *e.key == **key) else {
                        return mark;
                    };
                    mark = entry.mark;
                    node = &entry.node;
                }
                Segment::Index(index) => {
                    let Some(item) = node.items().get(*index) else {
                        return mark;
                    };
                    mark = item.mark;
                    node = item;
                }
            }
        }
        mark
    }
}

impl From<serde_json::Value> for Node {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        Node::unplaced(match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Value::Int(integer),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Str(text.into()),
            Json::Array(items) => Value::Seq(items.into_iter().map(Node::from).collect()),
            Json::Object(fields) => Value::Map(
                fields
                    .into_iter()
                    .map(|(key, value)| Entry {
                        mark: Mark::NONE,
                        key: key.into(),
                        node: value.into(),
                    })
                    .collect(),
            ),
        })
    }
}

impl From<&Node> for serde_json::Value {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Str(text) => Self::String(text.to_string()),
            Value::Seq(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Map(entries) => Self::Object(
                entries
                    .iter()
                    .map(|e| (e.key.to_string(), Self::from(&e.node)))
                    .collect(),
            ),
        }
    }
}
