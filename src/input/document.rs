//! One document: what it is, and the objects in it.

use super::template;
use super::{Document, DocumentKind, Input};
use crate::code::Code;
use crate::finding::{Finding, Location};
use model::resource::{self, Reading, is_list, is_object};
use model::yaml::{self, Chunk, SyntaxError};
use model::{Coverage, FieldPath, Kind, Mesh, Node, Origin, Resource, SettingsFile, UnknownFields, Value};
use std::sync::Arc;

/// What came out of documents; the parts of all documents are added up.
#[derive(Debug, Default)]
pub struct Parts {
    pub resources: Vec<Resource>,
    pub chart_values: Vec<SettingsFile>,
    pub cni_configurations: Vec<SettingsFile>,
    pub unknown_fields: Vec<UnknownFields>,
    pub errors: Vec<Finding>,
    pub notes: Vec<Finding>,
    pub documents: Vec<Document>,
}

impl Parts {
    /// Adds up parts; most of what there is are objects and documents.
    pub fn of_all(pieces: Vec<Self>) -> Self {
        let mut parts = Self::default();
        let total = |count: fn(&Self) -> usize| pieces.iter().map(count).sum();
        parts
            .resources
            .reserve_exact(total(|piece| piece.resources.len()));
        parts
            .documents
            .reserve_exact(total(|piece| piece.documents.len()));
        for piece in pieces {
            parts.absorb(piece);
        }
        parts
    }

    pub fn absorb(&mut self, other: Self) {
        self.resources.extend(other.resources);
        self.chart_values.extend(other.chart_values);
        self.cni_configurations.extend(other.cni_configurations);
        self.unknown_fields.extend(other.unknown_fields);
        self.errors.extend(other.errors);
        self.notes.extend(other.notes);
        self.documents.extend(other.documents);
    }

    /// All that the documents hold, with how much of the world they show.
    pub fn into_input(mut self, coverage: Coverage, description: String, gaps: Vec<String>) -> Input {
        let mesh = Mesh::new(std::mem::take(&mut self.resources), coverage);
        self.into_input_of(mesh, description, gaps)
    }

    /// The same of a mesh that was made of the resources.
    pub fn into_input_of(self, mesh: Mesh, description: String, gaps: Vec<String>) -> Input {
        let mut mesh = mesh.with_settings_files(self.chart_values, self.cni_configurations);
        mesh.unknown_fields = self.unknown_fields;
        Input {
            mesh,
            errors: self.errors,
            notes: self.notes,
            documents: self.documents,
            description,
            gaps,
            ..Input::default()
        }
    }

    pub fn read_chunk(&mut self, chunk: Chunk<'_>, origin: &Origin) {
        match yaml::parse(chunk) {
            Ok(None) => {}
            Ok(Some(node)) => self.read_node(node, origin, chunk.first_line),
            Err(error) => match template::of_text(chunk.text) {
                Some(tool) => self.template(origin, chunk.first_line, tool),
                None => {
                    self.errors.push(syntax_finding(origin, &error));
                    self.document(origin, chunk.first_line, DocumentKind::Unreadable);
                }
            },
        }
    }

    /// Notes a text that has to be rendered first.
    pub fn template(&mut self, origin: &Origin, line: u32, tool: &'static str) {
        let mark = model::Mark { line, column: 1 };
        self.notes.push(Code::TemplateSkipped.finding(
            Location::of_document(origin.clone(), mark),
            format!("this is a template ({tool}) and says nothing until it is rendered; passed over"),
        ));
        self.document(origin, line, DocumentKind::Template(tool));
    }

    pub fn read_node(&mut self, node: Node, origin: &Origin, line: u32) {
        if is_list(&node) {
            let Value::Map(entries) = node.value else { return };
            for item in entries
                .into_iter()
                .filter(|e| &*e.key == "items")
                .flat_map(|e| match e.node.value {
                    Value::Seq(items) => items,
                    _ => Vec::new(),
                })
            {
                let line = if item.mark.is_known() {
                    item.mark.line
                } else {
                    line
                };
                self.read_node(item, origin, line);
            }
        } else if let Some(what) = template::fragment(&node) {
            self.not_ours(origin, &node, line, what);
        } else if is_object(&node) {
            self.read_object(node, origin, line);
        } else {
            self.read_other(node, origin, line);
        }
    }

    /// Reads what an API server gave: always an object, never a template.
    pub fn read_live(&mut self, node: Node, origin: &Origin) {
        self.read_object(node, origin, 0);
    }

    fn read_object(&mut self, node: Node, origin: &Origin, line: u32) {
        let kind = kind_of(&node);
        let named = node.at(&["metadata", "name"]).is_some();
        if matches!(kind, Kind::Other(_)) && !named {
            let what = format!("a {kind} without a name, not an object of a cluster");
            return self.not_ours(origin, &node, line, &what);
        }
        // Placeholders that a server accepted are values, such as `$(POD_NAME)` in arguments.
        if matches!(origin, Origin::File(_))
            && !matches!(kind, Kind::Other(_))
            && let Some(tool) = placeholder_paths(&kind)
                .iter()
                .find_map(|path| node.at(path).and_then(template::of_value))
        {
            return self.template(origin, line, tool);
        }
        let mark = node.mark;
        let Reading {
            id,
            resource,
            problems,
            unknown,
        } = resource::read(node, origin);
        let location = |mark, path: &FieldPath| Location {
            origin: origin.clone(),
            mark,
            object: id.clone(),
            path: path.clone(),
        };
        for problem in &problems {
            let message = if problem.path.segments().is_empty() {
                problem.message.clone()
            } else {
                format!("`{}`: {}", problem.path, problem.message)
            };
            let place = if problem.mark.is_known() {
                problem.mark
            } else {
                mark
            };
            self.errors.push(Code::InvalidValue.finding_with_fix(
                location(place, &problem.path),
                message,
                problem.advice.clone(),
            ));
        }
        for field in &unknown {
            let (message, fix) = match field.similar {
                Some(similar) => (
                    format!("`{}` is not a field of {kind}", field.path),
                    format!("did you mean `{similar}`?"),
                ),
                None => (
                    format!(
                        "`{}` is not a field of {kind} that this version knows",
                        field.path
                    ),
                    Code::UnknownField.page().fix.to_owned(),
                ),
            };
            self.notes.push(Code::UnknownField.finding_with_fix(
                location(field.mark, &field.path),
                message,
                fix,
            ));
        }
        let kind = match (&id, &resource) {
            (Some(id), Some(_)) => DocumentKind::Object(id.clone()),
            _ => DocumentKind::Unreadable,
        };
        if let Some(id) = id.filter(|_| !unknown.is_empty()) {
            self.unknown_fields.push(UnknownFields {
                id,
                origin: origin.clone(),
                fields: unknown,
            });
        }
        self.resources.extend(resource);
        self.document(origin, line, kind);
    }

    /// Documents without `kind` or `apiVersion`.
    fn read_other(&mut self, node: Node, origin: &Origin, line: u32) {
        let settings = |node| SettingsFile {
            origin: origin.clone(),
            node: Arc::new(node),
        };
        if node.get("cniVersion").is_some() && (node.get("plugins").is_some() || node.get("type").is_some()) {
            self.cni_configurations.push(settings(node));
            return self.document(origin, line, DocumentKind::Settings);
        }
        let half = match (node.get("kind"), node.get("apiVersion")) {
            (Some(_), None) => Some(("apiVersion", "kind")),
            (None, Some(_)) if node.get("name").is_none() => Some(("kind", "apiVersion")),
            _ => None,
        };
        if let Some((missing, present)) = half {
            let fix = format!("add `{missing}`, or remove `{present}` if this is not meant for Kubernetes");
            self.errors.push(Code::InvalidValue.finding_with_fix(
                Location::of_document(origin.clone(), node.mark),
                format!("`{missing}` is missing"),
                fix,
            ));
            return self.document(origin, line, DocumentKind::Unreadable);
        }
        match node.value {
            Value::Map(_) => {
                self.chart_values.push(settings(node));
                self.document(origin, line, DocumentKind::Settings);
            }
            _ => {
                let what = format!("{}, not an object", node.type_name());
                self.not_ours(origin, &node, line, &what);
            }
        }
    }

    fn not_ours(&mut self, origin: &Origin, node: &Node, line: u32, what: &str) {
        self.notes.push(Code::NotAnObject.finding(
            Location::of_document(origin.clone(), node.mark),
            format!("this document is {what}; passed over"),
        ));
        self.document(origin, line, DocumentKind::NotOurs(what.to_owned()));
    }

    fn document(&mut self, origin: &Origin, line: u32, kind: DocumentKind) {
        self.documents.push(Document {
            origin: origin.clone(),
            line,
            kind,
        });
    }
}

/// Where a placeholder shows that an object is a template. Arguments of containers, data of ConfigMaps and code
/// in EnvoyFilters may hold the same characters and mean them.
fn placeholder_paths(kind: &Kind) -> &'static [&'static [&'static str]] {
    match kind.group() {
        "networking.istio.io" | "security.istio.io" | "gateway.networking.k8s.io"
            if *kind != Kind::EnvoyFilter =>
        {
            &[&["metadata", "name"], &["metadata", "namespace"], &["spec"]]
        }
        _ if *kind == Kind::Service => &[&["metadata", "name"], &["metadata", "namespace"], &["spec"]],
        _ => &[&["metadata", "name"], &["metadata", "namespace"]],
    }
}

fn kind_of(node: &Node) -> Kind {
    let text = |key| node.get(key).and_then(Node::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    Kind::new(group, text("kind"))
}

fn syntax_finding(origin: &Origin, error: &SyntaxError) -> Finding {
    let code = if error.message.contains("stands twice") {
        Code::DuplicateKey
    } else {
        Code::InvalidYaml
    };
    code.finding_with_fix(
        Location::of_document(origin.clone(), error.mark),
        &*error.message,
        error.advice.clone(),
    )
}
