//! Kustomization files: which files they name and as what, what they change of objects, and a further line in their list of
//! resources.

use super::lines::{Lines, line_end};
use model::{Kind, Node, ObjectRef, Value, yaml};
use serde_json::Value as Json;

/// The names that Kustomize looks for, in its order.
pub const NAMES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Lists of files and folders whose objects are built.
const RESOURCES: &[&str] = &["resources", "bases", "components"];
/// Fields that change the names of objects. Kustomize changes the references that it knows with them; those in the objects
/// of the Gateway API and of Istio are not among them, unless `configurations` says so.
const RENAMING: &[&str] = &["namePrefix", "nameSuffix"];

/// What a kustomization file says.
#[derive(Debug)]
pub struct Kustomization {
    root: Node,
}

/// Something that a kustomization does to an object, by the field that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A patch of the object, which a new one made from it does not get.
    Patch(String),
    /// A new name; references to the old one in new objects are left.
    Name(&'static str),
    /// A value that is copied into the object from another.
    Replacement(String),
}

impl Kustomization {
    /// Reads a file; `None` if it cannot be read.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let chunk = *yaml::documents(text).first()?;
        let root = yaml::parse(chunk).ok()??;
        matches!(root.value, Value::Map(_)).then_some(Self { root })
    }

    /// The files and folders whose objects are built, as written.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        let lists = RESOURCES.iter().filter_map(|field| self.root.get(field));
        lists.flat_map(Node::items).filter_map(Node::as_str)
    }

    /// The field that names a file as something else than objects to build, if one does. The path is relative to the
    /// kustomization.
    #[must_use]
    pub fn other_use(&self, is_file: &dyn Fn(&str) -> bool) -> Option<&str> {
        let others = self.root.entries().iter();
        let mut others = others.filter(|entry| !RESOURCES.contains(&&*entry.key));
        others
            .find(|entry| names_file(&entry.node, is_file))
            .map(|entry| &*entry.key)
    }

    /// What is done to an object. `read` gives the text of a file that the kustomization names.
    #[must_use]
    pub fn effects(&self, id: &ObjectRef, read: &dyn Fn(&str) -> Option<String>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for field in ["patches", "patchesStrategicMerge", "patchesJson6902"] {
            let patches = self.root.get(field).map_or(&[][..], Node::items);
            for (index, patch) in patches.iter().enumerate() {
                if is_patched(patch, id, read) {
                    effects.push(Effect::Patch(format!("{field}[{index}]")));
                }
            }
        }
        for field in RENAMING {
            if self
                .root
                .get(field)
                .and_then(Node::as_str)
                .is_some_and(|part| !part.is_empty())
            {
                effects.push(Effect::Name(field));
            }
        }
        let replacements = self.root.get("replacements").map_or(&[][..], Node::items);
        for (index, replacement) in replacements.iter().enumerate() {
            let targets = replacement.get("targets").map_or(&[][..], Node::items);
            if targets
                .iter()
                .filter_map(|target| target.get("select"))
                .any(|select| selects(select, id))
            {
                effects.push(Effect::Replacement(format!("replacements[{index}]")));
            }
        }
        effects
    }
}

/// Whether a text in the tree names the file; also as `key=file`, as generators do.
fn names_file(node: &Node, is_file: &dyn Fn(&str) -> bool) -> bool {
    match &node.value {
        Value::Str(text) => {
            let file = text.split_once('=').map_or(&**text, |(_, file)| file);
            !text.contains('\n') && is_file(file)
        }
        Value::Seq(items) => items.iter().any(|item| names_file(item, is_file)),
        Value::Map(entries) => entries.iter().any(|entry| names_file(&entry.node, is_file)),
        _ => false,
    }
}

/// Whether a patch changes what an object says: it is for the object, by its target or by the kind and name that the patch
/// itself has, and about more than labels and annotations.
fn is_patched(patch: &Node, id: &ObjectRef, read: &dyn Fn(&str) -> Option<String>) -> bool {
    let target = patch.get("target");
    if target.is_some_and(|target| !selects(target, id)) {
        return false;
    }
    let inline = patch
        .as_str()
        .or_else(|| patch.get("patch").and_then(Node::as_str));
    let text = match (inline, patch.get("path").and_then(Node::as_str)) {
        (Some(text), _) if patch.get("patch").is_some() || text.contains('\n') => Some(text.to_owned()),
        (Some(file), _) | (None, Some(file)) => read(file),
        (None, None) => None,
    };
    // What cannot be read may be about anything.
    let Some(text) = text else {
        return target.is_some();
    };
    yaml::documents(&text)
        .into_iter()
        .any(|chunk| match yaml::parse(chunk) {
            Ok(Some(node)) => (target.is_some() || is_about(&node, id)) && changes_meaning(&node),
            Ok(None) => false,
            Err(_) => target.is_some(),
        })
}

fn is_about(patch: &Node, id: &ObjectRef) -> bool {
    let name = patch.at(&["metadata", "name"]).and_then(Node::as_str);
    name == Some(&*id.name) && is_kind(patch, &id.kind)
}

/// Whether a patch is about more than labels and annotations.
fn changes_meaning(patch: &Node) -> bool {
    if let Value::Seq(operations) = &patch.value {
        return operations.iter().any(|operation| {
            let path = operation.get("path").and_then(Node::as_str).unwrap_or_default();
            !path.starts_with("/metadata/labels") && !path.starts_with("/metadata/annotations")
        });
    }
    let is_known = |key: &str| matches!(key, "apiVersion" | "kind" | "metadata");
    patch.entries().iter().any(|entry| !is_known(&entry.key)) || patch.at(&["metadata", "$patch"]).is_some()
}

/// Whether a selector of Kustomize takes an object in. Names in it are regular expressions; one that is more than a name is
/// taken to match.
fn selects(selector: &Node, id: &ObjectRef) -> bool {
    let text = |key: &str| {
        selector
            .get(key)
            .and_then(Node::as_str)
            .filter(|text| !text.is_empty())
    };
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let agrees =
        |wanted: Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is || !is_plain(wanted));
    agrees(text("kind"), id.kind.name())
        && agrees(text("name"), &id.name)
        && agrees(text("namespace"), id.namespace.as_deref().unwrap_or_default())
        && text("group").is_none_or(|group| group == id.kind.group())
}

fn is_kind(node: &Node, kind: &Kind) -> bool {
    let text = |key| node.get(key).and_then(Node::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    Kind::new(group, text("kind")) == *kind
}

/// The text of a kustomization with a further file in its list of resources, after one that is in it. `None` if that one is
/// not there, or the list is written in a way that cannot be added to; the text as it is, if the new one is there already.
#[must_use]
pub fn with_resource(text: &str, beside: &dyn Fn(&str) -> bool, new: &str) -> Option<String> {
    let before = resources(text)?;
    if before.iter().any(|resource| resource == new) {
        return Some(text.to_owned());
    }
    let position = before.iter().position(|resource| beside(resource))?;
    let root = Kustomization::read(text)?.root;
    let item = root.get("resources")?.items().get(position)?.clone();
    let lines = Lines::of(text);
    let line = usize::try_from(item.mark.line).ok()?;
    let column = usize::try_from(item.mark.column).ok()?.checked_sub(1)?;
    let prefix = lines.body(line).get(..column)?;
    let written = yaml::to_text(&Json::from(new));
    let written = written.trim_end();
    let is_item = prefix
        .trim_start()
        .strip_prefix('-')
        .is_some_and(|rest| rest.trim().is_empty());
    let (at, added) = if is_item {
        let range = lines.range(line);
        let end = line_end(text, range.start);
        if text[range.clone()].ends_with('\n') {
            (range.end, format!("{prefix}{written}{end}"))
        } else {
            (range.end, format!("{end}{prefix}{written}"))
        }
    } else {
        // In brackets: right behind the item and its quotes.
        let start = lines.start(line) + column;
        let value = item.as_str()?;
        let rest = text.get(start..)?;
        let length = [format!("\"{value}\""), format!("'{value}'"), value.to_owned()]
            .iter()
            .find(|form| rest.starts_with(form.as_str()))?
            .len();
        (start + length, format!(", {written}"))
    };
    let mut edited = text.to_owned();
    edited.insert_str(at, &added);
    let mut expected = before;
    expected.insert(position + 1, new.to_owned());
    (resources(&edited)? == expected).then_some(edited)
}

fn resources(text: &str) -> Option<Vec<String>> {
    let root = Kustomization::read(text)?.root;
    let items = root.get("resources")?.items().iter();
    Some(items.filter_map(Node::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: Kind, name: &str) -> ObjectRef {
        ObjectRef {
            namespace: Some("shop".into()),
            kind,
            name: name.into(),
        }
    }

    #[test]
    fn a_resource_is_added_in_the_way_in_which_the_list_is_written() {
        for (before, after) in [
            (
                "resources:\n- a.json # the routes\n- b.yaml\n",
                "resources:\n- a.json # the routes\n- a.ambient.yaml\n- b.yaml\n",
            ),
            (
                "# c\r\nresources:\r\n  -  'a.json'\r\nnamePrefix: x\r\n",
                "# c\r\nresources:\r\n  -  'a.json'\r\n  -  a.ambient.yaml\r\nnamePrefix: x\r\n",
            ),
            (
                "resources:\n  - a.json",
                "resources:\n  - a.json\n  - a.ambient.yaml",
            ),
            (
                "resources: [b.yaml, \"a.json\"]\n",
                "resources: [b.yaml, \"a.json\", a.ambient.yaml]\n",
            ),
            (
                "resources: [a.ambient.yaml, a.json]\n",
                "resources: [a.ambient.yaml, a.json]\n",
            ),
        ] {
            let edited = with_resource(before, &|file| file == "a.json", "a.ambient.yaml");
            assert_eq!(edited.as_deref(), Some(after));
        }
        for text in ["resources: []\n", "resources: [&x a.json]\n", "a: b\n", "- a\n"] {
            let edited = with_resource(text, &|file| file == "a.json", "a.ambient.yaml");
            assert_eq!(edited, None, "{text}");
        }
    }

    #[test]
    fn what_is_done_to_an_object_is_found() {
        let text = "
namePrefix: eu-
patches:
- target: {kind: VirtualService, name: web}
  patch: '[{op: remove, path: /spec/http/0}]'
- path: policy.yaml
- target: {kind: Service}
  path: other.yaml
- patch: |-
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: web}
    spec: {http: []}
- target: {kind: VirtualService, name: web}
  patch: '[{op: add, path: /metadata/labels/team, value: web}]'
- target: {name: web.*}
replacements:
- targets: [{select: {kind: VirtualService}}]
configMapGenerator:
- files: [data=routes.yaml]
";
        let kustomization = Kustomization::read(text).unwrap();
        let read = |file: &str| {
            (file == "policy.yaml").then(|| {
                "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny}\nspec: {}\n".to_owned()
            })
        };
        let patch = |field: &str| Effect::Patch(field.to_owned());
        assert_eq!(
            kustomization.effects(&id(Kind::VirtualService, "web"), &read),
            [
                patch("patches[0]"),
                patch("patches[3]"),
                patch("patches[5]"),
                Effect::Name("namePrefix"),
                Effect::Replacement("replacements[0]".to_owned())
            ]
        );
        assert_eq!(
            kustomization.effects(&id(Kind::AuthorizationPolicy, "deny"), &read),
            // The last one is for a pattern of names, which is not looked into.
            [
                patch("patches[1]"),
                patch("patches[5]"),
                Effect::Name("namePrefix")
            ]
        );
        let used = |name: &'static str| kustomization.other_use(&move |file: &str| file == name);
        assert_eq!(used("policy.yaml"), Some("patches"));
        assert_eq!(used("routes.yaml"), Some("configMapGenerator"));
        assert_eq!(used("web.yaml"), None);
    }
}
