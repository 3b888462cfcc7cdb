//! What routes and policies are attached to: their parents and targets.

use model::Node;
use serde_json::Value as Json;

/// The lists of references in `spec`.
const LISTS: [&str; 2] = ["parentRefs", "targetRefs"];

/// A parent or a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its kind; empty where it is left to the default.
    pub kind: Box<str>,
    /// Its namespace, if it says one.
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
}

/// The references of an object that is to be written.
pub fn references(object: &Json) -> impl Iterator<Item = Reference> {
    let lists = LISTS
        .iter()
        .filter_map(|list| object.get("spec")?.get(list)?.as_array());
    lists.flatten().filter_map(|reference| {
        let text = |key: &str| reference.get(key).and_then(Json::as_str).map(Box::from);
        Reference::of(text)
    })
}

/// The references of an object of the input.
pub fn references_in(object: &Node) -> impl Iterator<Item = Reference> {
    let lists = LISTS.iter().filter_map(|list| object.at(&["spec", list]));
    let single = object.at(&["spec", "targetRef"]);
    lists.flat_map(Node::items).chain(single).filter_map(|reference| {
        let text = |key: &str| reference.get(key).and_then(Node::as_str).map(Box::from);
        Reference::of(text)
    })
}

impl Reference {
    fn of(text: impl Fn(&str) -> Option<Box<str>>) -> Option<Self> {
        Some(Self {
            kind: text("kind").unwrap_or_default(),
            namespace: text("namespace"),
            name: text("name")?,
        })
    }
}
