//! New objects into the text of the file that the old ones stand in. Text in, text out: every byte outside of what is put
//! in or replaced stays as it was, and what cannot be done so is refused with a reason.

pub mod chart;
pub mod kustomization;
mod layout;
mod lines;
#[cfg(test)]
mod tests;

pub use layout::{Ambiguous, Layout, Spot};

use crate::convert::{Change, MANAGED_BY, PROGRAM};
use layout::Place;
use lines::{ends_in_text_block, line_end, with_line_ends};
use model::{Node, ObjectRef, yaml};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use thiserror::Error;

/// A new object and where in the text it belongs. One that an earlier run put there is replaced where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'a> {
    /// The object.
    pub change: &'a Change,
    /// Where it goes if it is not there yet.
    pub at: At<'a>,
}

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// After the object that the new one was made from, which stands in the same text.
    AfterSource,
    /// At the end of a text that holds new objects only.
    End {
        /// The object that the new one was made from, where that is known.
        source: Option<&'a Node>,
    },
}

/// A text with new objects in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// Objects that were not there before.
    pub added: Vec<ObjectRef>,
    /// Objects of an earlier run that read differently now.
    pub replaced: Vec<ObjectRef>,
}

impl Edited {
    /// Whether anything is different.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.added.is_empty() || !self.replaced.is_empty()
    }
}

/// Why an object has no place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Reason {
    #[error("the object that it was made from does not stand in this file")]
    NoSource,
    #[error("the object that it was made from stands in this file more than once")]
    SourceTwice,
    #[error("it stands in this file more than once")]
    Twice,
    #[error("an object of this name that is not of this program stands in this file")]
    Foreign,
    #[error(
        "an earlier run's object stands where only its own text can be replaced by hand: in brackets, or in a list of lists"
    )]
    InBrackets,
    #[error("JSON holds one document only")]
    Json,
    #[error(
        "another value of the file would read differently; end its last line with a line feed, or write the object by hand"
    )]
    Disturbed,
}

/// An object that was refused, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{id}: {reason}")]
pub struct Refused {
    /// The object that has no place.
    pub id: ObjectRef,
    /// Why.
    pub reason: Reason,
}

/// A part of a text and what comes in its place.
struct Splice {
    range: Range<usize>,
    text: String,
}

/// Whether a text is JSON and so cannot hold a second document: `kubectl` takes all of a file that begins with a brace for
/// JSON.
#[must_use]
pub fn is_json(text: &str) -> bool {
    without_mark(text).trim_start().starts_with(['{', '['])
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Puts objects into a text.
///
/// # Errors
/// The first object that has no place in it, or the first one of all if the text would say something else than before
/// beside the new objects.
pub fn place(text: &str, objects: &[Placement<'_>]) -> Result<Edited, Refused> {
    let layout = Layout::of(text);
    let mut splices = Vec::new();
    let mut edited = Edited::default();
    let mut written: Vec<(ObjectRef, Json)> = Vec::new();
    for object in objects {
        let id = &object.change.id;
        let refused = |reason| Refused {
            id: id.clone(),
            reason,
        };
        if let Some(old) = layout.only(id).map_err(|_| refused(Reason::Twice))? {
            let Some((splice, json)) = replacement(&layout, old, object.change).map_err(refused)? else {
                continue;
            };
            splices.push(splice);
            edited.replaced.push(id.clone());
            written.push((id.clone(), json));
        } else {
            let (splice, json) = addition(&layout, object).map_err(refused)?;
            splices.push(splice);
            edited.added.push(id.clone());
            written.push((id.clone(), json));
        }
    }
    if !edited.is_changed() {
        text.clone_into(&mut edited.text);
        return Ok(edited);
    }
    let new = spliced(text, splices).filter(|new| says_the_same(&layout, new, &edited, &written));
    match (new, written.first()) {
        (None, Some((id, _))) => Err(Refused {
            id: id.clone(),
            reason: Reason::Disturbed,
        }),
        (new, _) => {
            edited.text = new.unwrap_or_else(|| text.to_owned());
            Ok(edited)
        }
    }
}

/// The new text of an object of an earlier run; `None` where that says the same already.
fn replacement(layout: &Layout<'_>, old: &Spot, change: &Change) -> Result<Option<(Splice, Json)>, Reason> {
    if !is_ours(&old.node) {
        return Err(Reason::Foreign);
    }
    let mut json = change.after.to_json();
    if Json::from(&old.node).get("spec") == json.get("spec") {
        return Ok(None);
    }
    if is_json(layout.text) {
        return Err(Reason::Json);
    }
    adapt(&mut json, change, Some(&old.node));
    carry_over(&mut json, &old.node);
    let (range, indentation) = match &old.place {
        Place::Document { body: Some(body), .. } => (body.clone(), 0),
        Place::Item { body, prefix, .. } => (body.clone(), prefix.len()),
        Place::Document { body: None, .. } | Place::Fixed { .. } => return Err(Reason::InBrackets),
    };
    let ends_line = layout.text[range.clone()].ends_with('\n');
    let end = line_end(layout.text, range.start);
    let mut text = with_line_ends(&indented(&yaml::to_text(&json), indentation), end);
    if !ends_line && !ends_in_text_block(&text) {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    Ok(Some((Splice { range, text }, json)))
}

/// The text of an object that is not there yet, and where it goes.
fn addition(layout: &Layout<'_>, object: &Placement<'_>) -> Result<(Splice, Json), Reason> {
    if is_json(layout.text) {
        return Err(Reason::Json);
    }
    let source = match object.at {
        At::End { .. } => None,
        At::AfterSource => Some(
            layout
                .only(&object.change.from)
                .map_err(|_| Reason::SourceTwice)?
                .ok_or(Reason::NoSource)?,
        ),
    };
    let mut json = object.change.after.to_json();
    match (source, object.at) {
        (Some(spot), _) => adapt(&mut json, object.change, Some(&spot.node)),
        (None, At::End { source }) => adapt(&mut json, object.change, source),
        (None, At::AfterSource) => {}
    }
    let manifest = yaml::to_text(&json);
    let (at, lines) = match source.map(|spot| &spot.place) {
        Some(Place::Item { body, prefix, .. }) => {
            (body.end, format!("{prefix}{}", indented(&manifest, prefix.len())))
        }
        Some(Place::Document { end, .. } | Place::Fixed { end }) => (*end, format!("---\n{manifest}")),
        None if without_mark(layout.text).is_empty() => (layout.text.len(), manifest),
        None => (layout.text.len(), format!("---\n{manifest}")),
    };
    let before = &layout.text[..at];
    let mut text = with_line_ends(&lines, line_end(layout.text, at.saturating_sub(1)));
    if !without_mark(before).is_empty() && !before.ends_with('\n') {
        // With a line end, a text in a block would get one, too: for the API server, not for every reader.
        if ends_in_text_block(before) {
            return Err(Reason::Disturbed);
        }
        // The line that has no end gets one, and the new last line goes without, as it was.
        if !ends_in_text_block(&text) {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        text.insert_str(0, line_end(layout.text, at.saturating_sub(1)));
    }
    let range = at..at;
    Ok((Splice { range, text }, json))
}

/// An object of a file without a namespace gets it from who applies the file; so does the new one beside it.
fn adapt(json: &mut Json, change: &Change, beside: Option<&Node>) {
    let has_none = beside.is_some_and(|node| {
        node.at(&["metadata", "namespace"])
            .is_none_or(|namespace| namespace.is_null() || namespace.as_str() == Some(""))
    });
    if has_none
        && change.id.namespace == change.from.namespace
        && let Some(Json::Object(metadata)) = json.get_mut("metadata")
    {
        metadata.shift_remove("namespace");
    }
}

/// Labels and annotations that someone added to the object of an earlier run stay.
fn carry_over(json: &mut Json, old: &Node) {
    for field in ["labels", "annotations"] {
        let added = old.at(&["metadata", field]).into_iter().flat_map(Node::entries);
        let Some(Json::Object(new)) = json
            .get_mut("metadata")
            .and_then(|metadata| metadata.get_mut(field))
        else {
            continue;
        };
        for entry in added {
            if !new.contains_key(&*entry.key) {
                new.insert(entry.key.to_string(), Json::from(&entry.node));
            }
        }
    }
}

/// Whether an object was made by this program.
#[must_use]
pub fn is_ours(node: &Node) -> bool {
    node.at(&["metadata", "labels", MANAGED_BY])
        .and_then(Node::as_str)
        == Some(PROGRAM)
}

/// All lines but the first further in.
fn indented(text: &str, by: usize) -> String {
    let mut result = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number > 0 && line != "\n" {
            result.extend(std::iter::repeat_n(' ', by));
        }
        result.push_str(line);
    }
    result
}

/// The text with all splices; `None` if two of them are about the same part.
fn spliced(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    // Several at one place keep their order.
    splices.sort_by_key(|splice| splice.range.start);
    let mut result = String::with_capacity(text.len() + splices.iter().map(|s| s.text.len()).sum::<usize>());
    let mut from = 0;
    for splice in &splices {
        result.push_str(text.get(from..splice.range.start)?);
        result.push_str(&splice.text);
        from = splice.range.end;
    }
    result.push_str(text.get(from..)?);
    Some(result)
}

/// Whether the new text holds what the old one did, with nothing else different than what was written.
fn says_the_same(old: &Layout<'_>, new: &str, edited: &Edited, written: &[(ObjectRef, Json)]) -> bool {
    let added: HashSet<&ObjectRef> = edited.added.iter().collect();
    let new = Layout::of(new);
    let by_name: HashMap<&ObjectRef, &Json> = written.iter().map(|(id, json)| (id, json)).collect();
    let all_there = written.iter().all(|(id, json)| {
        new.only(id)
            .is_ok_and(|spot| spot.is_some_and(|spot| Json::from(&spot.node) == *json))
    });
    let is_added = |id: &Option<ObjectRef>| id.as_ref().is_some_and(|id| added.contains(id));
    let contents = new.contents();
    let mut rest = contents.iter().filter(|(id, _)| !is_added(id));
    let kept = old.contents().iter().all(|(id, json)| {
        let new = id.as_ref().and_then(|id| by_name.get(id).copied());
        let expected = new.unwrap_or(json);
        rest.next()
            .is_some_and(|(new_id, new_json)| new_id == id && new_json == expected)
    });
    all_there && kept && rest.next().is_none()
}
