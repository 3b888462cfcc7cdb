//! Manifests that are alike to those of the tests: bytes alone seldom make an object that is read to its end.

use model::Node;
use model::yaml::{documents, parse, to_text};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The manifests below folders of `testdata`.
///
/// # Errors
/// A folder or a file cannot be read.
pub fn texts(folders: &[&str]) -> io::Result<Vec<Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut texts = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "json") {
            texts.push(fs::read(path)?);
        }
    }
    texts.sort();
    Ok(texts)
}

/// The documents of a text that can be read.
#[must_use]
pub fn trees(text: &str) -> Vec<Json> {
    let read = |chunk| parse(chunk).ok().flatten();
    let nodes = documents(text).into_iter().filter_map(read);
    nodes.map(|node: Node| Json::from(&node)).collect()
}

/// Parts of manifests, by the place in which they stand: the kind of the object and the nearest key.
#[derive(Debug, Default)]
pub struct Parts {
    documents: Vec<Json>,
    values: BTreeMap<String, Vec<Json>>,
    entries: BTreeMap<String, Vec<(String, Json)>>,
}

impl Parts {
    /// Those of all cases of conversion.
    #[must_use]
    pub fn of_cases() -> Self {
        let mut parts = Self::default();
        for text in texts(&["convert"]).unwrap_or_default() {
            for document in trees(&String::from_utf8_lossy(&text)) {
                each(&document, &place(&document), &mut |place, node| {
                    parts.learn(place, node)
                });
                parts.documents.push(document);
            }
        }
        parts
    }

    fn learn(&mut self, place: &str, node: &Json) {
        let known = self.values.entry(place.to_owned()).or_default();
        if !known.contains(node) {
            known.push(node.clone());
        }
        let known = self.entries.entry(place.to_owned()).or_default();
        for (key, value) in node.as_object().into_iter().flatten() {
            let entry = (key.clone(), value.clone());
            if !known.contains(&entry) {
                known.push(entry);
            }
        }
    }

    /// The same documents with one to four differences.
    pub fn vary(&self, documents: &mut Vec<Json>, random: &mut Random) {
        for _ in 0..=random.below(4) {
            self.vary_once(documents, random);
        }
    }

    fn vary_once(&self, documents: &mut Vec<Json>, random: &mut Random) {
        let which = random.below(documents.len());
        match random.below(16) {
            0 if documents.len() > 1 => drop(documents.remove(which)),
            1 if documents.len() > 1 => documents.swap(0, which),
            2 | 3 => documents.extend(random.of(&self.documents).cloned()),
            4 => documents.extend(documents.get(which).cloned()),
            _ => {
                let Some(document) = documents.get_mut(which) else {
                    return;
                };
                let (mut count, root) = (0, place(document));
                each(document, &root, &mut |_, _| count += 1);
                let mut left = random.below(count);
                at(document, &root, &mut left, &mut |place, node| {
                    self.replace(place, node, random)
                });
            }
        }
    }

    fn replace(&self, place: &str, node: &mut Json, random: &mut Random) {
        match (random.below(6), &mut *node) {
            (0 | 1, Json::Object(fields)) => {
                if let Some((key, value)) = self.entries.get(place).and_then(|known| random.of(known)) {
                    fields.insert(key.clone(), value.clone());
                }
            }
            (2, Json::Object(fields)) => {
                let key = random.of(&fields.keys().cloned().collect::<Vec<_>>()).cloned();
                key.and_then(|key| fields.remove(&key));
            }
            (0, Json::Array(items)) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
            (1, Json::Array(items)) => items.extend(random.of(&items.clone()).cloned()),
            (2, Json::Array(items)) => items.reverse(),
            (3, _) => {
                // A value of anywhere.
                let all: Vec<&Vec<Json>> = self.values.values().collect();
                if let Some(value) = random.of(&all).and_then(|known| random.of(known)) {
                    *node = value.clone();
                }
            }
            _ => {
                if let Some(value) = self.values.get(place).and_then(|known| random.of(known)) {
                    *node = value.clone();
                }
            }
        }
    }
}

fn place(document: &Json) -> String {
    let kind = document.get("kind").and_then(Json::as_str);
    format!("{}/", kind.unwrap_or_default())
}

fn below(place: &str, key: &str) -> String {
    let kind = place.split_once('/').map_or("", |(kind, _)| kind);
    format!("{kind}/{key}")
}

fn each(node: &Json, place: &str, seen: &mut impl FnMut(&str, &Json)) {
    seen(place, node);
    match node {
        Json::Array(items) => items.iter().for_each(|item| each(item, place, seen)),
        Json::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| each(value, &below(place, key), seen)),
        _ => {}
    }
}

/// Changes the node that `left` others come before.
fn at(node: &mut Json, place: &str, left: &mut usize, change: &mut impl FnMut(&str, &mut Json)) -> bool {
    if *left == 0 {
        change(place, node);
        return true;
    }
    *left -= 1;
    match node {
        Json::Array(items) => items.iter_mut().any(|item| at(item, place, left, change)),
        Json::Object(fields) => {
            let mut all = fields.iter_mut();
            all.any(|(key, value)| at(value, &below(place, key), left, change))
        }
        _ => false,
    }
}

/// Documents as one text.
#[must_use]
pub fn text_of(documents: &[Json]) -> String {
    let texts: Vec<String> = documents.iter().map(to_text).collect();
    texts.join("---\n")
}

/// Numbers that follow from a seed.
#[derive(Debug, Clone, Copy)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed) ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number from 0 on, less than `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.0 >> 16) % end).unwrap_or_default()
    }

    /// One of several.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}
