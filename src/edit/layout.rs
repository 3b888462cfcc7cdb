//! Where in a text its objects stand.

use super::lines::{Lines, indentation};
use model::resource::{self, is_list, is_object};
use model::yaml::{self, Chunk};
use model::{Node, ObjectRef, Origin, Value};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::ops::Range;

/// A text and the objects in it, in their order.
#[derive(Debug)]
pub struct Layout<'a> {
    /// The text.
    pub text: &'a str,
    spots: Vec<Spot>,
    /// The position of each object, or that there are several.
    index: HashMap<ObjectRef, Result<usize, Ambiguous>>,
    /// What the documents say, by object where they are objects.
    contents: Vec<(Option<ObjectRef>, Json)>,
}

/// An object of a text.
#[derive(Debug)]
pub struct Spot {
    /// What it is called.
    pub id: ObjectRef,
    /// The object.
    pub node: Node,
    /// Where its document begins.
    pub document: usize,
    pub(super) place: Place,
}

/// Which bytes of a text an object has.
#[derive(Debug)]
pub(super) enum Place {
    /// A document of its own.
    Document {
        /// The bytes between the comments and markers around it; `None` where it begins on the line of the marker.
        body: Option<Range<usize>>,
        /// Where the next document begins.
        end: usize,
    },
    /// An item of a `List` with one line or more for each field.
    Item {
        /// From its first field to the end of its last line.
        body: Range<usize>,
        /// What stands before its first field: spaces, a hyphen, spaces.
        prefix: String,
    },
    /// Somewhere in a document in which nothing can be put.
    Fixed {
        /// Where the next document begins.
        end: usize,
    },
}

/// More than one object has the name.
#[derive(Debug, Clone, Copy)]
pub struct Ambiguous;

impl<'a> Layout<'a> {
    /// Finds the objects. Documents that cannot be read have none.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let mut layout = Self {
            text,
            spots: Vec::new(),
            index: HashMap::new(),
            contents: Vec::new(),
        };
        let lines = Lines::of(text);
        for chunk in yaml::documents(text) {
            layout.document(&lines, chunk);
        }
        layout
    }

    /// The objects.
    #[must_use]
    pub fn spots(&self) -> &[Spot] {
        &self.spots
    }

    /// The object of a name.
    ///
    /// # Errors
    /// There are several.
    pub fn only(&self, id: &ObjectRef) -> Result<Option<&Spot>, Ambiguous> {
        let position = self.index.get(id).copied().transpose()?;
        Ok(position.and_then(|position| self.spots.get(position)))
    }

    /// What the text says, wherever it stands.
    pub(super) fn contents(&self) -> &[(Option<ObjectRef>, Json)] {
        &self.contents
    }

    fn document(&mut self, lines: &Lines<'a>, chunk: Chunk<'a>) {
        let first = usize::try_from(chunk.first_line).unwrap_or(usize::MAX);
        let start = lines.start(first);
        let range = start..start + chunk.text.len();
        let node = match yaml::parse(chunk) {
            Ok(Some(node)) => node,
            Ok(None) => return,
            Err(_) => return self.contents.push((None, chunk.text.into())),
        };
        if is_list(&node) {
            return self.list(lines, &node, &range);
        }
        let place = Place::Document {
            body: body(lines, &range),
            end: range.end,
        };
        self.object(node, place, start);
    }

    fn object(&mut self, node: Node, place: Place, document: usize) {
        let json = Json::from(&node);
        let id = is_object(&node)
            .then(|| resource::read(node.clone(), &Origin::File("".into())).id)
            .flatten();
        self.contents.push((id.clone(), json));
        if let Some(id) = id {
            let position = self.spots.len();
            self.index
                .entry(id.clone())
                .and_modify(|known| *known = Err(Ambiguous))
                .or_insert(Ok(position));
            self.spots.push(Spot {
                id,
                node,
                document,
                place,
            });
        }
    }

    fn list(&mut self, lines: &Lines<'a>, list: &Node, document: &Range<usize>) {
        // What a server calls a list of one kind takes no objects of another.
        let is_any = list.get("kind").and_then(Node::as_str) == Some("List");
        // A carriage return alone may end a line for one reader and not for another.
        let lone_return = self.text[document.clone()].replace("\r\n", "").contains('\r');
        let mut around = Json::from(list);
        if let Some(items) = around.get_mut("items") {
            *items = Json::Null;
        }
        self.contents.push((None, around));
        let items = list.get("items").map_or(&[][..], Node::items);
        for (position, item) in items.iter().enumerate() {
            if is_list(item) {
                self.fixed(item, document);
                continue;
            }
            let place = (is_any && !lone_return)
                .then(|| item_place(lines, list, position, document))
                .flatten()
                .unwrap_or(Place::Fixed { end: document.end });
            self.object(item.clone(), place, document.start);
        }
    }

    /// The objects of a list in a list.
    fn fixed(&mut self, list: &Node, document: &Range<usize>) {
        for item in list.get("items").map_or(&[][..], Node::items) {
            if is_list(item) {
                self.fixed(item, document);
            } else {
                self.object(item.clone(), Place::Fixed { end: document.end }, document.start);
            }
        }
    }
}

/// A document without the marker, comments and blank lines around it.
fn body(lines: &Lines<'_>, document: &Range<usize>) -> Option<Range<usize>> {
    let mut first = lines.at(document.start);
    let last = lines.at(document.end.saturating_sub(1));
    while first <= last {
        let line = lines.body(first);
        if let Some(rest) = line.strip_prefix("---") {
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return None;
            }
        } else if !line.trim().is_empty() && !line.trim_start().starts_with('#') && !line.starts_with('%') {
            break;
        }
        first += 1;
    }
    // A comment further in may be a line of a text in a block.
    let is_around = |line: &str| {
        line.trim().is_empty()
            || line.starts_with('#')
            || line.trim_end() == "..."
            || line.starts_with("... ")
    };
    let mut end = last;
    while end > first && is_around(lines.body(end)) {
        end -= 1;
    }
    (first <= last).then(|| lines.start(first)..lines.range(end).end)
}

/// The place of an item of a block list; `None` where it is written otherwise.
fn item_place(lines: &Lines<'_>, list: &Node, position: usize, document: &Range<usize>) -> Option<Place> {
    let entry = list.entries().iter().find(|entry| &*entry.key == "items")?;
    let items = entry.node.items();
    let item = items.get(position)?;
    if !matches!(item.value, Value::Map(_)) {
        return None;
    }
    let line = usize::try_from(item.mark.line).ok()?;
    let column = usize::try_from(item.mark.column).ok()?.checked_sub(1)?;
    let prefix = lines.body(line).get(..column)?;
    let hyphen = prefix.find('-')?;
    let spaces = |part: &str| part.bytes().all(|byte| byte == b' ');
    let is_block = spaces(prefix.get(..hyphen)?)
        && prefix.len() > hyphen + 1
        && spaces(prefix.get(hyphen + 1..)?)
        && !lines.body(line).get(column..)?.starts_with(['{', '*', '&', '!']);
    if !is_block || !document.contains(&lines.start(line)) {
        return None;
    }
    let next = match items.get(position + 1) {
        Some(next) => usize::try_from(next.mark.line).ok()?,
        None => list
            .entries()
            .iter()
            .map(|entry| usize::try_from(entry.mark.line).unwrap_or(usize::MAX))
            .filter(|next| *next > line)
            .min()
            .unwrap_or_else(|| lines.at(document.end.saturating_sub(1)) + 1),
    };
    // What is not further in than the hyphen is about the next item, or of nothing.
    let is_further_in = |line: usize| indentation(lines.body(line)).is_some_and(|spaces| spaces > hyphen);
    let last = (line + 1..next)
        .rev()
        .find(|line| is_further_in(*line))
        .unwrap_or(line);
    Some(Place::Item {
        body: lines.start(line) + column..lines.range(last).end,
        prefix: prefix.to_owned(),
    })
}
