//! Parts of a document that know where they stand.

use crate::finding::Location;
use model::{FieldPath, Mark, Mesh, Node, Object, ObjectRef, Origin, SettingsFile};

/// A node in a document, by its path.
#[derive(Debug, Clone)]
pub struct Located<'a> {
    /// The node.
    pub node: &'a Node,
    root: &'a Node,
    origin: &'a Origin,
    object: Option<&'a ObjectRef>,
    path: FieldPath,
}

impl<'a> Located<'a> {
    /// A whole object.
    pub fn of_object<T>(object: &'a Object<T>) -> Self {
        Self {
            node: &object.raw,
            root: &object.raw,
            origin: &object.origin,
            object: Some(&object.id),
            path: FieldPath::root(),
        }
    }

    /// A whole document of settings.
    pub fn of_settings(file: &'a SettingsFile) -> Self {
        Self {
            node: &file.node,
            root: &file.node,
            origin: &file.origin,
            object: None,
            path: FieldPath::root(),
        }
    }

    /// The part at the end of a chain of keys.
    pub fn at(&self, keys: &[&str]) -> Option<Self> {
        let node = self.node.at(keys)?;
        let path = keys.iter().fold(self.path.clone(), |path, key| path.key(key));
        Some(Self {
            node,
            path,
            ..self.clone()
        })
    }

    /// The elements of a list.
    pub fn items(&self) -> impl Iterator<Item = Self> {
        self.node.items().iter().enumerate().map(|(index, node)| Self {
            node,
            path: self.path.index(index),
            ..self.clone()
        })
    }

    /// A scalar as text.
    pub fn text(&self) -> Option<String> {
        self.node.scalar_text()
    }

    /// Whether this is `true`, as a boolean or as text.
    pub fn is_true(&self) -> bool {
        self.text().is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Where it stands.
    pub fn place(&self) -> Location {
        match self.object {
            Some(_) if self.path.segments().is_empty() => self.place_of_name(),
            _ => Location {
                origin: self.origin.clone(),
                mark: self.root.mark_of(&self.path),
                object: self.object.cloned(),
                path: self.path.clone(),
            },
        }
    }

    fn place_of_name(&self) -> Location {
        let name = FieldPath::root().key("metadata").key("name");
        Location {
            origin: self.origin.clone(),
            mark: self.root.mark_of(&name),
            object: self.object.cloned(),
            path: FieldPath::root(),
        }
    }

    /// Kind, namespace and name in words; the file for what is no object.
    pub fn name(&self) -> String {
        match self.object {
            Some(object) => match &object.namespace {
                Some(namespace) => format!("{} `{namespace}/{}`", object.kind, object.name),
                None => format!("{} `{}`", object.kind, object.name),
            },
            None => format!("`{}`", self.file()),
        }
    }

    /// The file's name, empty in a cluster.
    pub fn file(&self) -> &'a str {
        file_of(self.origin)
    }

    /// Whether the file or the folder right above it is named after something: further up, names say
    /// little about a file.
    pub fn is_named_after(&self, word: &str) -> bool {
        let file = self.file().to_lowercase();
        file.rsplit('/').take(2).any(|part| part.contains(word))
    }

    /// The folder of the file.
    pub fn folder(&self) -> &'a str {
        folder_of(self.file())
    }
}

/// The name of a file, empty in a cluster.
pub fn file_of(origin: &Origin) -> &str {
    match origin {
        Origin::File(name) => name,
        Origin::Cluster => "",
    }
}

/// The folder of a file.
pub fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The place of what is about the mesh as a whole: the cluster, or the input's first document.
pub fn of_mesh(mesh: &Mesh) -> Location {
    let origin = if mesh.coverage.is_cluster() {
        Origin::Cluster
    } else {
        first_origin(mesh).unwrap_or(Origin::File("input".into()))
    };
    Location::of_document(origin, Mark::NONE)
}

fn first_origin(mesh: &Mesh) -> Option<Origin> {
    let origins = mesh
        .others
        .iter()
        .map(|o| &o.origin)
        .chain(mesh.workloads.iter().map(|o| &o.origin))
        .chain(mesh.authorization_policies.iter().map(|o| &o.origin))
        .chain(mesh.chart_values.iter().map(|f| &f.origin));
    origins.min().cloned()
}
