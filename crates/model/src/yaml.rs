//! YAML and JSON text to [`Node`]s with places, through `saphyr-parser`, which gives marks.

pub use crate::emit::to_text;

use crate::node::{Entry, Node, Value};
use crate::room::exact;
use crate::scalar::resolve_plain;
use crate::source::Mark;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How deep values may be nested: more is a mistake or an attack.
const MAX_DEPTH: usize = 200;
/// How many nodes a document may have once its aliases are expanded.
const MAX_NODES: usize = 2_000_000;
/// How many of these aliases may make: kubectl's reader refuses larger documents that consist of little else.
const MAX_ALIASED: usize = 400_000;
/// As much of a text as counts as a node where an alias repeats it.
const BYTES_PER_NODE: usize = 64;
/// From this many keys on, duplicates are looked for with a hash set.
const LARGE_MAP: usize = 16;

/// Text that is not YAML, or YAML that Kubernetes would not take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Where.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

/// One document of a multi-document text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The text of the document, without the `---` line that ends it.
    pub text: &'a str,
    /// The line of the whole text on which this document begins, from 1.
    pub first_line: u32,
}

/// Cuts a text at its document markers, so that an error in one document does not hide the others.
///
/// YAML 1.2.2 §9.1.2 forbids a line that begins with `---` inside any scalar, so this needs no parsing.
#[must_use]
pub fn documents(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks = Vec::new();
    let (mut start, mut first_line) = (0, 1u32);
    let begins = text.starts_with("---").then_some(0);
    let begin = text.match_indices("\n---").map(|(at, _)| at + 1);
    for offset in begins.into_iter().chain(begin) {
        let rest = &text[offset + 3..];
        let is_marker = rest.starts_with([' ', '\t', '\r', '\n']) || rest.is_empty();
        if is_marker && !only_directives(&text[start..offset]) {
            chunks.push(Chunk {
                text: &text[start..offset],
                first_line,
            });
            let lines = text.as_bytes()[start..offset]
                .iter()
                .filter(|byte| **byte == b'\n');
            first_line = first_line.saturating_add(u32::try_from(lines.count()).unwrap_or(u32::MAX));
            start = offset;
        }
    }
    chunks.push(Chunk {
        text: &text[start..],
        first_line,
    });
    chunks.retain(|chunk| chunk.text.lines().any(has_content));
    chunks
}

fn only_directives(text: &str) -> bool {
    text.lines().any(|line| line.starts_with('%'))
        && text
            .lines()
            .all(|line| line.starts_with('%') || !has_content(line))
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && line != "---" && line != "..."
}

/// Reads one document. `None` if it is empty.
///
/// # Errors
/// Text that is not YAML, duplicate keys, keys that are no text, unknown aliases, absurd nesting.
pub fn parse(chunk: Chunk<'_>) -> Result<Option<Node>, SyntaxError> {
    let result = Builder::new(chunk).document();
    match result {
        // JSON may hold what YAML forbids, such as tabs for indentation.
        Err(error)
            if chunk.text.trim_start().starts_with(['{', '['])
                && error.message.starts_with("not valid YAML") =>
        {
            serde_json::from_str::<serde_json::Value>(chunk.text)
                .map(|json| Some(json.into()))
                .or(Err(error))
        }
        other => other,
    }
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    line_offset: u32,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    aliased: usize,
}

impl<'a> Builder<'a> {
    fn new(chunk: Chunk<'a>) -> Self {
        Self {
            parser: Parser::new_from_str(chunk.text),
            line_offset: chunk.first_line - 1,
            anchors: HashMap::new(),
            nodes: 0,
            aliased: 0,
        }
    }

    fn document(mut self) -> Result<Option<Node>, SyntaxError> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return Ok(root),
                other if root.is_none() => root = Some(self.node(other, span, 0)?),
                _ => {
                    return Err(self.error(
                        span.start,
                        "a second document begins without `---`",
                        "put a line with `---` between the documents",
                    ));
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.error(
                *error.marker(),
                &format!("not valid YAML: {}", error.info()),
                advice(error.info()),
            )),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        let mark = self.mark(span.start);
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(self.too_large(span));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, self.scalar(text, style, tag, span)?),
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(depth)?),
            Event::Alias(anchor) => return self.alias(anchor, mark, span, depth),
            _ => {
                return Err(self.error(
                    span.start,
                    "a value is missing here",
                    "write a value or remove the key",
                ));
            }
        };
        let node = Node { mark, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, mark: Mark, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(self.error(
                span.start,
                "an alias refers to a value that contains it",
                "define the anchor before the alias, outside of it",
            ));
        };
        // Looked at before it is copied. What is deep by aliases alone is as deep as what is written so.
        let (nodes, height) = size(target);
        self.nodes += nodes;
        self.aliased += nodes;
        if depth + height > MAX_DEPTH || self.nodes > MAX_NODES || self.aliased > MAX_ALIASED {
            return Err(self.too_large(span));
        }
        Ok(Node {
            mark,
            value: target.value.clone(),
        })
    }

    fn scalar(
        &self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<Cow<'a, Tag>>,
        span: Span,
    ) -> Result<Value, SyntaxError> {
        if let Some(tag) = &tag {
            let core = tag.is_yaml_core_schema();
            return match tag.suffix.as_str() {
                "str" if core => Ok(Value::Str(text.into())),
                "binary" if core => Ok(Value::Str(text.into())),
                "int" | "float" | "bool" | "null" if core => Ok(resolve_plain(&text)),
                _ => Err(self.error(
                    span.start,
                    &format!(
                        "the tag `{}{}` has no meaning in a Kubernetes manifest",
                        tag.handle, tag.suffix
                    ),
                    "remove the tag, or render this template first",
                )),
            };
        }
        Ok(match style {
            ScalarStyle::Plain => resolve_plain(&text),
            _ => Value::Str(text.into()),
        })
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Seq(exact(items)));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let (key, mark) = self.key(event, span)?;
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span, depth + 1)?;
            if merge {
                self.merge(&node, span, &mut merged)?;
                continue;
            }
            if entries.len() == LARGE_MAP {
                seen = entries.iter().map(|e| e.key.clone()).collect();
            }
            let first = if entries.len() < LARGE_MAP {
                entries.iter().find(|e| e.key == key).map(|e| e.mark)
            } else if seen.insert(key.clone()) {
                None
            } else {
                entries.iter().find(|e| e.key == key).map(|e| e.mark)
            };
            if let Some(first) = first {
                return Err(self.error(
                    span.start,
                    &format!(
                        "the key `{key}` stands twice in one mapping; the first is on line {}",
                        first.line
                    ),
                    "remove one of the two: Kubernetes tools disagree on which of them counts",
                ));
            }
            entries.push(Entry { mark, key, node });
        }
        if !merged.is_empty() {
            let own: HashSet<Arc<str>> = entries.iter().map(|e| e.key.clone()).collect();
            entries.extend(merged.into_iter().filter(|entry| !own.contains(&entry.key)));
        }
        Ok(Value::Map(exact(entries)))
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<(Arc<str>, Mark), SyntaxError> {
        let mark = self.mark(span.start);
        match event {
            Event::Scalar(text, _, anchor, _) => {
                let key = interned(&text);
                if anchor > 0 {
                    self.anchors.insert(
                        anchor,
                        Node {
                            mark,
                            value: Value::Str((*key).into()),
                        },
                    );
                }
                Ok((key, mark))
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).and_then(Node::scalar_text) {
                Some(key) => Ok((interned(&key), mark)),
                None => Err(self.key_error(span)),
            },
            _ => Err(self.key_error(span)),
        }
    }

    fn key_error(&self, span: Span) -> SyntaxError {
        self.error(
            span.start,
            "a mapping or list stands where a key must be text",
            "quote the key; if this is a template (`{{ … }}`), render it first",
        )
    }

    fn merge(&self, node: &Node, span: Span, merged: &mut Vec<Entry>) -> Result<(), SyntaxError> {
        let sources = match &node.value {
            Value::Map(_) => std::slice::from_ref(node),
            Value::Seq(items) => items.as_slice(),
            _ => &[],
        };
        if sources.is_empty() || sources.iter().any(|s| !matches!(s.value, Value::Map(_))) {
            return Err(self.error(
                span.start,
                "the merge key `<<` needs a mapping or a list of mappings",
                "point it at an anchored mapping",
            ));
        }
        let mut known: HashSet<Arc<str>> = merged.iter().map(|e| e.key.clone()).collect();
        for entry in sources.iter().flat_map(Node::entries) {
            if known.insert(entry.key.clone()) {
                merged.push(entry.clone());
            }
        }
        Ok(())
    }

    fn too_large(&self, span: Span) -> SyntaxError {
        self.error(
            span.start,
            "the document is nested too deeply or its aliases expand without end",
            "write the repeated part out once, without aliases of aliases",
        )
    }

    fn mark(&self, marker: Marker) -> Mark {
        let line = u32::try_from(marker.line())
            .unwrap_or(u32::MAX)
            .saturating_add(self.line_offset);
        Mark {
            line,
            column: u32::try_from(marker.col()).unwrap_or(u32::MAX).saturating_add(1),
        }
    }

    fn error(&self, marker: Marker, message: &str, advice: &str) -> SyntaxError {
        SyntaxError {
            mark: self.mark(marker),
            message: message.to_owned(),
            advice: advice.to_owned(),
        }
    }
}

/// What usually causes a message of the parser.
fn advice(message: &str) -> &'static str {
    let causes = [
        ("tabs", "indent with spaces: YAML forbids tabs there"),
        (
            "mapping values are not allowed",
            "put a value that holds `: ` in quotes, or begin a new line",
        ),
        (
            "unexpected character",
            "put the value in quotes: it begins with a character that YAML reserves",
        ),
        ("escape", "double the backslash, or use single quotes"),
        ("quoted scalar", "close the quote that was opened here"),
        (
            "unknown anchor",
            "define the anchor (`&name`) before this alias, in the same document",
        ),
        (
            "recursion limit",
            "no manifest is nested as deeply as this; look for brackets that never close",
        ),
        (
            "flow",
            "look for a missing comma, or for a bracket or brace that is not closed",
        ),
        ("expected key", "align this line with the fields beside it"),
    ];
    causes
        .iter()
        .find(|(part, _)| message.contains(part))
        .map_or("correct the text at this place", |(_, advice)| advice)
}

/// How many different keys are remembered: the fields of all kinds are fewer, labels without end are not kept.
const MAX_KEYS: usize = 4096;

/// One copy of each key for all documents and paths of a thread.
pub(crate) fn interned(key: &str) -> Arc<str> {
    thread_local! {
        static KEYS: RefCell<foldhash::HashSet<Arc<str>>> = RefCell::default();
    }
    KEYS.with_borrow_mut(|keys| {
        if let Some(known) = keys.get(key) {
            return Arc::clone(known);
        }
        let new: Arc<str> = key.into();
        if keys.len() < MAX_KEYS {
            keys.insert(Arc::clone(&new));
        }
        new
    })
}

/// How many nodes a value has, where long texts count as several, and how many levels are below it.
fn size(node: &Node) -> (usize, usize) {
    let whole = |below: &mut dyn Iterator<Item = (usize, usize)>| {
        below.fold((1, 0), |(nodes, height), (more, level)| {
            (nodes + more, height.max(level + 1))
        })
    };
    match &node.value {
        Value::Str(text) => (1 + text.len() / BYTES_PER_NODE, 0),
        Value::Seq(items) => whole(&mut items.iter().map(size)),
        Value::Map(entries) => whole(&mut entries.iter().map(|entry| size(&entry.node))),
        _ => (1, 0),
    }
}
