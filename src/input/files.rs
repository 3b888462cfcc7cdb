//! Files, folders and standard input.

use super::document::Parts;
use super::{Document, DocumentKind, Input, template};
use crate::code::Code;
use crate::finding::{Finding, Location};
use ignore::WalkBuilder;
use model::{Coverage, Mark, Mesh, ObjectRef, Origin, yaml};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of standard input in messages.
const STDIN: &str = "<stdin>";
/// Extensions that are read in folders; a file that is named is read whatever it is called.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json", "conflist"];
/// How many documents a thread reads at a time: enough to be worth the distribution.
const CHUNKS_PER_TASK: usize = 128;
/// Larger files are no manifests.
const MAX_BYTES: u64 = 256 << 20;

/// A text with the name under which it is reported.
#[derive(Debug, Clone)]
pub struct Text {
    /// The name: a path as the user would write it, or `<stdin>`.
    pub name: Arc<str>,
    /// The text.
    pub content: String,
}

/// Reads files and folders (with everything below them); `-` is standard input.
///
/// Nothing fails as a whole: what cannot be read is in [`Input::errors`], each with its place.
#[must_use]
pub fn read(paths: &[PathBuf]) -> Input {
    let mut errors = Vec::new();
    let mut files = Vec::new();
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            texts.extend(read_stdin().map_err(|e| errors.push(*e)).ok());
            continue;
        }
        list(path, &mut files, &mut errors);
    }
    each_once(&mut files);
    let results: Vec<_> = files.par_iter().map(|path| read_file(path)).collect();
    let mut fingerprints = HashMap::new();
    for result in results {
        match result {
            Ok(text) => {
                fingerprints.insert(Arc::clone(&text.name), fingerprint(&text.content));
                texts.push(text);
            }
            Err(error) => errors.push(*error),
        }
    }
    let mut input = read_texts(&texts);
    input.fingerprints = fingerprints;
    if input.documents.is_empty() && errors.is_empty() && input.errors.is_empty() {
        let name: Arc<str> = match paths.first() {
            Some(path) if path.as_os_str() == "-" => STDIN.into(),
            Some(path) => path.to_string_lossy().into(),
            None => "".into(),
        };
        errors.push(Code::NothingToRead.finding(
            Location::of_document(Origin::File(name), Mark::NONE),
            "there is no document in the input",
        ));
    }
    errors.append(&mut input.errors);
    input.errors = errors;
    input
}

/// A number that is another one if a text has changed.
#[must_use]
pub fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Leaves out files that are there already by another name, as when a folder and a file in it are given.
fn each_once(files: &mut Vec<PathBuf>) {
    if files.len() > 1 {
        let mut seen = HashSet::new();
        // What has no path cannot be read either, which is told then.
        files.retain(|path| match path.canonicalize() {
            Ok(path) => seen.insert(path),
            Err(_) => true,
        });
    }
}

/// Reads texts that are already in memory.
#[must_use]
pub fn read_texts(texts: &[Text]) -> Input {
    let mut pieces: Vec<Parts> = texts.par_iter().flat_map_iter(read_text).collect();
    let resources: Vec<_> = pieces
        .iter_mut()
        .map(|piece| std::mem::take(&mut piece.resources))
        .collect();
    let (mesh, (mut parts, notes)) = rayon::join(
        || Mesh::new(resources.into_iter().flatten(), Coverage::Files),
        || {
            let parts = Parts::of_all(pieces);
            let notes = duplicates(&parts.documents);
            (parts, notes)
        },
    );
    parts.notes.extend(notes);
    let description = match texts {
        [one] => format!("`{}`", one.name),
        many => format!("{} files", many.len()),
    };
    parts.into_input_of(mesh, description, Vec::new())
}

fn read_text(text: &Text) -> Vec<Parts> {
    let origin = Origin::File(Arc::clone(&text.name));
    if let Some(tool) = template::of_text(&text.content) {
        let mut parts = Parts::default();
        parts.template(&origin, 1, tool);
        return vec![parts];
    }
    let chunks = yaml::documents(&text.content);
    let read = |group: &[yaml::Chunk<'_>]| {
        let mut parts = Parts::default();
        for chunk in group {
            parts.read_chunk(*chunk, &origin);
        }
        parts
    };
    chunks.par_chunks(CHUNKS_PER_TASK).map(read).collect()
}

fn list(path: &Path, files: &mut Vec<PathBuf>, errors: &mut Vec<Finding>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    let walk = WalkBuilder::new(path)
        .standard_filters(false)
        .hidden(true)
        .follow_links(true)
        .sort_by_file_path(Ord::cmp)
        .build();
    for entry in walk {
        match entry {
            Ok(entry) => {
                let wanted = entry
                    .path()
                    .extension()
                    .and_then(|e| e.to_str())
                    .is_some_and(|e| EXTENSIONS.contains(&e));
                if wanted && entry.path().is_file() {
                    files.push(entry.into_path());
                }
            }
            Err(error) => errors.push(*unreadable(path, &error.to_string())),
        }
    }
}

fn read_file(path: &Path) -> Result<Text, Box<Finding>> {
    let reason = |e: std::io::Error| unreadable(path, &e.to_string());
    let size = std::fs::metadata(path).map_err(reason)?.len();
    if size > MAX_BYTES {
        return Err(unreadable(
            path,
            &format!(
                "it has {} MiB, more than the {} MiB that a manifest can have",
                size >> 20,
                MAX_BYTES >> 20
            ),
        ));
    }
    let bytes = std::fs::read(path).map_err(reason)?;
    text_of(path.to_string_lossy().as_ref(), bytes)
}

fn read_stdin() -> Result<Text, Box<Finding>> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(Path::new(STDIN), &e.to_string()))?;
    text_of(STDIN, bytes)
}

fn text_of(name: &str, bytes: Vec<u8>) -> Result<Text, Box<Finding>> {
    match String::from_utf8(bytes) {
        Ok(content) => Ok(Text {
            name: name.into(),
            content,
        }),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let line = bytes[..valid].iter().filter(|b| **b == b'\n').count() + 1;
            let column = bytes[..valid].iter().rev().take_while(|b| **b != b'\n').count() + 1;
            let mark = Mark {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: u32::try_from(column).unwrap_or(u32::MAX),
            };
            let fix = match bytes.get(..2) {
                Some([0xff, 0xfe] | [0xfe, 0xff]) => "this is UTF-16; save it as UTF-8",
                Some([0x1f, 0x8b]) => "this is a gzip archive; unpack it first",
                _ => "save the file as UTF-8",
            };
            Err(Box::new(Code::UnreadableFile.finding_with_fix(
                Location::of_document(Origin::File(name.into()), mark),
                format!("`{name}` is not UTF-8 text"),
                fix,
            )))
        }
    }
}

fn unreadable(path: &Path, reason: &str) -> Box<Finding> {
    let name = path.to_string_lossy();
    Box::new(Code::UnreadableFile.finding(
        Location::of_document(Origin::File(name.as_ref().into()), Mark::NONE),
        format!("`{name}` cannot be read: {reason}"),
    ))
}

/// Objects that stand in the input more than once: which of them counts depends on who applies the files.
fn duplicates(documents: &[Document]) -> Vec<Finding> {
    let mut first: foldhash::HashMap<&ObjectRef, (&Origin, u32)> = foldhash::HashMap::default();
    let mut findings = Vec::new();
    for document in documents {
        let DocumentKind::Object(id) = &document.kind else {
            continue;
        };
        let Some((origin, line)) = first.insert(id, (&document.origin, document.line)) else {
            continue;
        };
        let earlier = Location::of_document(origin.clone(), Mark { line, column: 1 });
        let mut location = Location::of_document(
            document.origin.clone(),
            Mark {
                line: document.line,
                column: 1,
            },
        );
        location.object = Some(id.clone());
        findings.push(Code::DuplicateObject.finding(
            location,
            format!("{id} stands in the input more than once, also at {earlier}"),
        ));
    }
    findings
}
