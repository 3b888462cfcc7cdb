//! `convert --in-place` and `--check`: which files get which text. All is worked out before anything is written.

mod advice;
mod trees;

pub use advice::beforehand;

use super::CliError;
use crate::code::Code;
use crate::convert::Change;
use crate::edit::{self, At, Edited, Layout, Placement, kustomization};
use crate::finding::{Finding, Location, Severity};
use crate::input::files::fingerprint;
use crate::input::{Document, DocumentKind, Input};
use crate::report::counted;
use model::{Mark, Node, ObjectRef, Origin};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trees::Trees;

/// What was read, as far as files are concerned.
#[derive(Debug)]
pub struct Reading {
    documents: Vec<Document>,
    fingerprints: HashMap<Arc<str>, u64>,
    places: HashMap<ObjectRef, Vec<Arc<str>>>,
}

impl Reading {
    /// Takes from the input what the report does without.
    pub fn of(input: &mut Input) -> Self {
        let documents = std::mem::take(&mut input.documents);
        let mut places: HashMap<ObjectRef, Vec<Arc<str>>> = HashMap::new();
        for document in &documents {
            if let (DocumentKind::Object(id), Origin::File(name)) = (&document.kind, &document.origin) {
                places.entry(id.clone()).or_default().push(Arc::clone(name));
            }
        }
        Self {
            documents,
            fingerprints: std::mem::take(&mut input.fingerprints),
            places,
        }
    }

    /// The files in which an object stands.
    fn files_of(&self, id: &ObjectRef) -> &[Arc<str>] {
        self.places.get(id).map_or(&[], Vec::as_slice)
    }
}

/// A file and its new text.
#[derive(Debug)]
pub struct FileEdit {
    /// Its name, as the user gave it.
    pub name: String,
    /// Where it really lies, behind symbolic links.
    pub path: PathBuf,
    /// What is in it; `None` for a new file.
    pub before: Option<String>,
    /// What will be in it.
    pub after: String,
    added: usize,
    replaced: usize,
    listed: usize,
}

impl FileEdit {
    /// What is done to the file, in words.
    pub fn words(&self) -> String {
        let parts = [
            (self.added, "new object", ""),
            (self.replaced, "object", " replaced"),
            (self.listed, "file", " added to its resources"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _, _)| *count > 0)
            .map(|(count, noun, verb)| format!("{}{verb}", counted(*count, noun)))
            .collect();
        format!("`{}`: {}", self.name, parts.join(", "))
    }
}

/// All that is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// Files whose text changes, in the order of their paths.
    pub files: Vec<FileEdit>,
    /// What there is to say about it.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// How many objects have no place. With any, nothing may be written: a policy without its neighbour could let in more.
    pub fn refused(&self) -> usize {
        let blockers = self.findings.iter();
        blockers
            .filter(|finding| finding.severity == Severity::Blocker)
            .count()
    }
}

/// Works out the new texts.
pub fn plan(reading: &Reading, changes: &[Change]) -> Result<Plan, CliError> {
    let mut planner = Planner {
        reading,
        trees: Trees::of(&reading.fingerprints),
        edits: BTreeMap::new(),
        beside: BTreeMap::new(),
        findings: Vec::new(),
    };
    for (name, changes) in planner.by_file(changes) {
        planner.file(&name, &changes)?;
    }
    for (path, companion) in std::mem::take(&mut planner.beside) {
        planner.companion(path, companion)?;
    }
    Ok(Plan {
        files: planner.edits.into_values().collect(),
        findings: planner.findings,
    })
}

struct Planner<'a> {
    reading: &'a Reading,
    trees: Trees,
    edits: BTreeMap<PathBuf, FileEdit>,
    beside: BTreeMap<PathBuf, Companion<'a>>,
    findings: Vec<Finding>,
}

/// A file of new objects beside a file that cannot hold them.
struct Companion<'a> {
    name: String,
    /// The files that it is beside.
    of: Vec<PathBuf>,
    objects: Vec<(&'a Change, Option<Node>)>,
}

impl<'a> Planner<'a> {
    /// Each change at the file where it stands already, or where the object stands that it was made from.
    fn by_file(&mut self, changes: &'a [Change]) -> BTreeMap<Arc<str>, Vec<&'a Change>> {
        let mut by_file: BTreeMap<Arc<str>, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            let (what, files) = match self.reading.files_of(&change.id) {
                [] => (&change.from, self.reading.files_of(&change.from)),
                files => (&change.id, files),
            };
            match files {
                [file] => by_file.entry(Arc::clone(file)).or_default().push(change),
                [] => self.refuse(change, None, &format!("{what} stands in no file of the input")),
                [first, .., last] if first == last => {
                    self.refuse(
                        change,
                        Some(first),
                        &format!("{what} stands in `{first}` more than once"),
                    );
                }
                [first, .., last] => {
                    self.refuse(
                        change,
                        Some(first),
                        &format!("{what} stands in `{first}` and `{last}`"),
                    );
                }
            }
        }
        by_file
    }

    fn file(&mut self, name: &Arc<str>, changes: &[&'a Change]) -> Result<(), CliError> {
        let path = real(Path::new(&**name))?;
        let text = read(&path, name)?;
        if self.reading.fingerprints.get(name) != Some(&fingerprint(&text)) {
            return Err(CliError::Changed(name.to_string().into()));
        }
        if let Some((reason, fix)) = self.trees.why_untouchable(&path, &text) {
            for change in changes {
                self.refuse_with(change, Some(name), &reason, Some(fix.clone()));
            }
            return Ok(());
        }
        let layout = Layout::of(&text);
        let changes = changes.iter().copied();
        let changes: Vec<&Change> = changes
            .filter(|change| self.advise(name, &path, &layout, change))
            .collect();
        // What stands in the file already is replaced there; what does not may have to go beside it.
        let (here, beside): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| !edit::is_json(&text) || !self.reading.files_of(&change.id).is_empty());
        for change in beside {
            let source = layout
                .only(&change.from)
                .ok()
                .flatten()
                .map(|spot| spot.node.clone());
            let companion = self
                .beside
                .entry(companion_of(&path))
                .or_insert_with(|| Companion {
                    name: companion_of(Path::new(&**name)).to_string_lossy().into_owned(),
                    of: Vec::new(),
                    objects: Vec::new(),
                });
            companion.objects.push((change, source));
            companion.of.push(path.clone());
        }
        let placements: Vec<Placement<'_>> = here
            .into_iter()
            .map(|change| Placement {
                change,
                at: At::AfterSource,
            })
            .collect();
        let edited = edit::place(&text, &placements);
        self.take(name.to_string(), path, Some(text.clone()), edited, &placements);
        Ok(())
    }

    fn companion(&mut self, path: PathBuf, companion: Companion<'a>) -> Result<(), CliError> {
        let placements: Vec<Placement<'_>> = companion
            .objects
            .iter()
            .map(|(change, source)| Placement {
                change,
                at: At::End {
                    source: source.as_ref(),
                },
            })
            .collect();
        let exists = path.symlink_metadata().is_ok();
        let text = match (self.edits.get(&path), exists) {
            (Some(edit), _) => edit.after.clone(),
            (None, true) => read(&path, &companion.name)?,
            (None, false) => String::new(),
        };
        let is_ours = Layout::of(&text)
            .spots()
            .iter()
            .all(|spot| edit::is_ours(&spot.node));
        if exists && !is_ours && !self.trees.is_read(&path) {
            return Err(CliError::Foreign(companion.name.into()));
        }
        let edited = edit::place(&text, &placements);
        let before = exists.then_some(text);
        self.take(companion.name, path.clone(), before, edited, &placements);
        if self.edits.contains_key(&path) {
            for of in &companion.of {
                self.list_in_kustomizations(of, &path);
            }
        }
        Ok(())
    }

    /// A file beside one that kustomizations name is named by them, too.
    fn list_in_kustomizations(&mut self, of: &Path, new: &Path) {
        let Some(new) = new.file_name().and_then(|name| name.to_str()) else {
            return;
        };
        for tree in self.trees.naming(of) {
            let text = self
                .edits
                .get(&tree.path)
                .map_or_else(|| tree.text.clone(), |edit| edit.after.clone());
            let named = |resource: &str| tree.resolve(resource).is_some_and(|path| path == of);
            let written = tree.beside(of, new);
            match kustomization::with_resource(&text, &named, &written) {
                Some(after) if after == text => {}
                Some(after) => {
                    let edit = self.edits.entry(tree.path.clone()).or_insert_with(|| FileEdit {
                        name: tree.name.clone(),
                        path: tree.path.clone(),
                        before: Some(tree.text.clone()),
                        after: String::new(),
                        added: 0,
                        replaced: 0,
                        listed: 0,
                    });
                    edit.after = after;
                    edit.listed += 1;
                }
                None => self.findings.push(Code::KustomizeList.finding_with_fix(
                    Location::of_document(Origin::File(tree.name.as_str().into()), Mark::NONE),
                    format!("the list of resources is written in a way that `{written}` cannot be added to"),
                    format!("add `{written}` to `resources` in `{}`", tree.name),
                )),
            }
        }
    }

    fn take(
        &mut self,
        name: String,
        path: PathBuf,
        before: Option<String>,
        edited: Result<Edited, edit::Refused>,
        placements: &[Placement<'_>],
    ) {
        let edited = match edited {
            Ok(edited) if edited.is_changed() => edited,
            Ok(_) => return,
            Err(refused) => {
                let change = placements
                    .iter()
                    .find(|placement| placement.change.id == refused.id);
                if let Some(placement) = change {
                    self.refuse(placement.change, Some(&name), &refused.reason.to_string());
                }
                return;
            }
        };
        let entry = self.edits.entry(path.clone()).or_insert_with(|| FileEdit {
            name,
            path,
            before,
            after: String::new(),
            added: 0,
            replaced: 0,
            listed: 0,
        });
        entry.after = edited.text;
        entry.added += edited.added.len();
        entry.replaced += edited.replaced.len();
    }

    fn refuse(&mut self, change: &Change, file: Option<&str>, reason: &str) {
        self.refuse_with(change, file, reason, None);
    }

    fn refuse_with(&mut self, change: &Change, file: Option<&str>, reason: &str, fix: Option<String>) {
        let mut location = Location::of_document(Origin::File(file.unwrap_or("-").into()), Mark::NONE);
        location.object = Some(change.from.clone());
        let message = format!("{}, made from {}, has no place: {reason}", change.id, change.from);
        let fix = fix.unwrap_or_else(|| Code::NotPlaced.page().fix.to_owned());
        self.findings
            .push(Code::NotPlaced.finding_with_fix(location, message, fix));
    }
}

/// `routes.ambient.yaml` for `routes.json`.
fn companion_of(path: &Path) -> PathBuf {
    path.with_extension("ambient.yaml")
}

fn real(path: &Path) -> Result<PathBuf, CliError> {
    path.canonicalize().map_err(|source| unreadable(path, source))
}

fn read(path: &Path, name: &str) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| unreadable(Path::new(name), source))
}

fn unreadable(path: &Path, source: std::io::Error) -> CliError {
    CliError::Output {
        target: format!("`{}`", path.display()),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::write;
    use super::*;

    #[test]
    fn a_file_that_has_changed_stops_everything() {
        let folder = tempfile::tempdir().unwrap();
        let edit = |name: &str, before: Option<&str>| FileEdit {
            name: name.to_owned(),
            path: folder.path().join(name),
            before: before.map(str::to_owned),
            after: "new".to_owned(),
            added: 1,
            replaced: 0,
            listed: 0,
        };
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        std::fs::write(folder.path().join("b"), "b").unwrap();
        for changed in [edit("b", Some("older")), edit("b", None)] {
            let result = write::edits(&[edit("a", Some("a")), edit("c", None), changed]);
            assert!(matches!(result, Err(CliError::Changed(name)) if name.as_os_str() == "b"));
            assert_eq!((text("a"), text("b")), ("a".to_owned(), "b".to_owned()));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        }
        write::edits(&[edit("a", Some("a")), edit("c", None)]).unwrap();
        assert_eq!((text("a"), text("c")), ("new".to_owned(), "new".to_owned()));
    }
}
