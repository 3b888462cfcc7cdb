//! Kustomizations and charts around the files that were read.

use crate::edit::kustomization::{Kustomization, NAMES};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The kustomizations in all folders that were read.
#[derive(Debug)]
pub struct Trees {
    read: HashSet<PathBuf>,
    kustomizations: Vec<Tree>,
}

/// A kustomization file.
#[derive(Debug)]
pub struct Tree {
    /// Where it really lies.
    pub path: PathBuf,
    /// Its name, as the user would write it.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// What it says.
    pub says: Kustomization,
    folder: PathBuf,
    /// The files and folders that it builds.
    builds: Vec<PathBuf>,
}

/// A chart of Helm.
#[derive(Debug)]
pub struct Chart {
    /// Its name.
    pub name: String,
    /// Its folder, as the user would write it.
    pub folder: PathBuf,
}

impl Tree {
    fn read(folder: &Path, shown: &Path) -> Option<Self> {
        let name = NAMES.iter().find(|name| folder.join(name).is_file())?;
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).ok()?;
        let says = Kustomization::read(&text)?;
        let builds = says
            .resources()
            .filter_map(|resource| folder.join(resource).canonicalize().ok())
            .collect();
        Some(Self {
            path,
            name: shown.join(name).to_string_lossy().into_owned(),
            text,
            says,
            folder: folder.to_owned(),
            builds,
        })
    }

    /// Where a file or folder lies that the kustomization names; `None` for what is not on this machine.
    pub fn resolve(&self, named: &str) -> Option<PathBuf> {
        self.folder.join(named).canonicalize().ok()
    }

    /// How the kustomization names a file beside another one.
    pub fn beside(&self, file: &Path, new: &str) -> String {
        let named = self
            .says
            .resources()
            .find(|resource| self.resolve(resource).as_deref() == Some(file));
        match named.and_then(|named| named.rsplit_once('/')) {
            Some((folder, _)) => format!("{folder}/{new}"),
            None => new.to_owned(),
        }
    }

    /// The text of a file that the kustomization names.
    pub fn text_of(&self, named: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(named)).ok()
    }

    /// The folder of the kustomization, as the user would write it.
    pub fn shown_folder(&self) -> String {
        let folder = Path::new(&self.name).parent().unwrap_or(Path::new("."));
        if folder.as_os_str().is_empty() {
            ".".to_owned()
        } else {
            folder.to_string_lossy().into_owned()
        }
    }
}

impl Trees {
    /// Looks into the folder of every file that was read.
    pub fn of(files: &HashMap<Arc<str>, u64>) -> Self {
        let mut folders: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        let mut read = HashSet::new();
        for name in files.keys() {
            let shown = Path::new(&**name);
            // A file behind a symbolic link is named where the link is.
            let parent = shown.parent().unwrap_or(shown);
            let here = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            let (Ok(path), Ok(folder)) = (shown.canonicalize(), here.canonicalize()) else {
                continue;
            };
            // Of several names of one folder the first, so that the answer does not depend on the order.
            let name = folders.entry(folder).or_insert_with(|| parent.to_owned());
            if parent < name.as_path() {
                parent.clone_into(name);
            }
            read.insert(path);
        }
        let kustomizations = folders
            .iter()
            .filter_map(|(folder, shown)| Tree::read(folder, shown))
            .collect();
        Self { read, kustomizations }
    }

    /// Whether a file is part of the input.
    pub fn is_read(&self, path: &Path) -> bool {
        self.read.contains(path)
    }

    /// The kustomizations that name a file among their resources.
    pub fn naming(&self, file: &Path) -> Vec<&Tree> {
        let trees = self.kustomizations.iter();
        trees
            .filter(|tree| tree.builds.iter().any(|path| path == file))
            .collect()
    }

    /// The kustomizations that build a file, by others or themselves.
    pub fn building(&self, file: &Path) -> Vec<&Tree> {
        let mut found = self.naming(file);
        let mut next = 0;
        while let Some(tree) = found.get(next) {
            let folder = tree.folder.clone();
            for outer in self.naming(&folder) {
                if !found.iter().any(|known| known.path == outer.path) {
                    found.push(outer);
                }
            }
            next += 1;
        }
        found
    }

    /// Why a file must not be edited, if so, and what to do.
    pub fn why_untouchable(&self, path: &Path, text: &str) -> Option<(String, String)> {
        if text.contains("{{")
            && let Some(chart) = chart_of(path)
        {
            return Some((
                format!(
                    "the file is a template of the chart `{}`, and templates are not edited",
                    chart.name
                ),
                "write the object into the template by hand, as convert --dry-run shows it".to_owned(),
            ));
        }
        self.other_use(path)
    }

    /// What a file is that a kustomization names as something else than objects to build, and what to do.
    pub fn other_use(&self, path: &Path) -> Option<(String, String)> {
        self.kustomizations.iter().find_map(|tree| {
            let is_file = |named: &str| !named.is_empty() && tree.resolve(named).as_deref() == Some(path);
            let field = tree.says.other_use(&is_file)?;
            Some((
                format!("`{}` names the file in `{field}`, not as objects to build", tree.name),
                format!(
                    "build the tree and convert what comes out: kustomize build {} | mesh-migrate convert -f - \
                     --output-dir DIR",
                    tree.shown_folder()
                ),
            ))
        })
    }
}

/// The chart whose template a file is.
pub fn chart_of(path: &Path) -> Option<Chart> {
    let templates = path.ancestors().skip(1).find(|folder| {
        folder.file_name().is_some_and(|name| name == "templates")
            && folder
                .parent()
                .is_some_and(|chart| chart.join("Chart.yaml").is_file())
    })?;
    let folder = templates.parent()?;
    let text = std::fs::read_to_string(folder.join("Chart.yaml")).unwrap_or_default();
    let root = model::yaml::documents(&text)
        .first()
        .and_then(|chunk| model::yaml::parse(*chunk).ok().flatten());
    let name = root
        .as_ref()
        .and_then(|root| root.get("name")?.as_str())
        .map_or_else(|| folder.to_string_lossy().into_owned(), str::to_owned);
    Some(Chart {
        name,
        folder: folder.to_owned(),
    })
}
