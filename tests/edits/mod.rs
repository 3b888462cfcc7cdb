//! Properties of the editor: what was not put in stays byte for byte, a second run changes nothing, nothing panics.

use mesh_migrate::convert::{Change, Manifest, Options, convert};
use mesh_migrate::edit::{At, Layout, Placement, is_json, place};
use mesh_migrate::input::files::{Text, read_texts};
use model::{Kind, ObjectRef};
use proptest::prelude::*;
use serde_json::json;

fn changes(text: &str) -> Vec<Change> {
    let input = read_texts(&[Text {
        name: "mesh.yaml".into(),
        content: text.to_owned(),
    }]);
    assert!(input.errors.is_empty(), "{:?}\n{text}", input.errors);
    convert(&input.mesh, Options::default()).changes
}

fn after_source(changes: &[Change]) -> Vec<Placement<'_>> {
    let at = At::AfterSource;
    changes.iter().map(|change| Placement { change, at }).collect()
}

fn service(name: u8) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: s{name}\n  namespace: shop\nspec:\n  selector: {{app: s{name}}}\n  \
         ports:\n  - {{name: http, port: 80}}\n"
    )
}

fn virtual_service(name: u8, to: u8) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: s{name}  # with a 'comment'\n  \
         namespace: \"shop\"\nspec:\n  hosts: [s{name}]\n  http:\n\n  - route:\n    - destination: {{host: s{to}}}\n"
    )
}

fn policy(name: u8) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p{name}, namespace: shop}}\nspec:\n  \
         selector: {{matchLabels: {{app: s{name}}}}}\n  action: DENY\n  rules:\n  - to: [{{operation: {{methods: [PUT]}}}}]\n"
    )
}

fn workload(name: u8) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: s{name}, namespace: shop}}\nspec:\n  template:\n    \
         metadata: {{labels: {{app: s{name}}}}}\n    spec: {{}}\n"
    )
}

const TEXT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\ndata:\n  x: |\n    a: b\n    # c\n";

/// All objects once, in any order.
fn objects() -> impl Strategy<Value = Vec<String>> {
    let mut all = vec![TEXT.to_owned()];
    for name in 0..3 {
        all.extend([
            service(name),
            workload(name),
            policy(name),
            virtual_service(name, (name + 1) % 3),
        ]);
    }
    Just(all).prop_shuffle()
}

/// What stands around a document: before its marker, behind its marker, at its end.
fn decoration() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    (
        prop::sample::select(&["", "", "\n", "# before\n", "# a\n\n#b\n", "---\n# empty\n"][..]),
        prop::sample::select(&["", "", " # here", "\n# behind", "\n\n", "\n---\n"][..]),
        prop::sample::select(&["", "", "\n", "# end\n", "   \n", "...\n", "  # in\n# out\n"][..]),
    )
}

/// A document, or several objects in one list.
fn document(objects: &[String], spaces: usize, in_list: bool) -> String {
    let [one] = objects else {
        let pad = " ".repeat(spaces);
        let mut text = "apiVersion: v1\nkind: List\nitems:\n".to_owned();
        for object in objects {
            let lines: Vec<&str> = object.lines().collect();
            text.push_str(&format!("{pad}-  {}\n", lines.join(&format!("\n{pad}   "))));
            if in_list {
                text.push_str("# about the next\n\n");
            }
        }
        text.push_str("metadata: {}\n");
        return text;
    };
    one.clone()
}

fn file() -> impl Strategy<Value = String> {
    (
        objects(),
        prop::collection::vec((decoration(), 1..4usize, 0..3usize, any::<bool>()), 13),
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(|(objects, shapes, (carriage_return, mark, ends))| {
            let mut text = String::new();
            let mut rest = objects.as_slice();
            for ((before, behind, end), count, spaces, comments) in shapes {
                let (some, tail) = rest.split_at(count.min(rest.len()));
                rest = tail;
                if some.is_empty() {
                    break;
                }
                let document = document(some, spaces, comments);
                text.push_str(&format!("{before}---{behind}\n{document}{end}"));
            }
            if !ends {
                text.truncate(text.trim_end_matches('\n').len());
            }
            if carriage_return {
                text = text.replace('\n', "\r\n");
            }
            if mark {
                text.insert(0, '\u{feff}');
            }
            text
        })
}

/// The text without what was put in for a change, in whichever form that is there.
fn without(text: &str, change: &Change) -> Option<String> {
    let manifest = change.after.text();
    for end in ["\n", "\r\n"] {
        let mut forms = vec![(format!("---\n{manifest}"), String::new())];
        for spaces in 0..3 {
            let pad = " ".repeat(spaces + 3);
            let lines: Vec<&str> = manifest.lines().collect();
            forms.push((
                format!("{}-  {}\n", " ".repeat(spaces), lines.join(&format!("\n{pad}"))),
                String::new(),
            ));
        }
        for (form, with) in forms {
            let form = form.replace('\n', end);
            if text.contains(&form) {
                return Some(text.replacen(&form, &with, 1));
            }
            let last = format!("{end}{}", form.strip_suffix(end)?);
            if let Some(rest) = text.strip_suffix(&last) {
                return Some(rest.to_owned());
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn only_new_documents_are_added(text in file()) {
        let new = changes(&text);
        prop_assert!(!new.is_empty());
        let edited = place(&text, &after_source(&new));
        // A text in a block at the end of a file, without a line end, would get one.
        let Ok(edited) = edited else {
            prop_assert!(!text.ends_with('\n'), "{:?}\n{}", edited, text);
            return Ok(());
        };
        prop_assert_eq!(edited.added.len(), new.len());
        prop_assert!(edited.replaced.is_empty());
        // The last one that was put in at the end of a text is at its end.
        let mut rest = edited.text.clone();
        let mut open: Vec<&Change> = new.iter().rev().collect();
        while !open.is_empty() {
            let before = open.len();
            open.retain(|change| match without(&rest, change) {
                Some(text) => { rest = text; false }
                None => true,
            });
            prop_assert!(open.len() < before, "{:?} in\n{}", open, edited.text);
        }
        prop_assert_eq!(rest, text);
        prop_assert!(changes(&edited.text).is_empty());
    }

    #[test]
    fn what_an_earlier_run_made_is_replaced_in_its_place(text in file()) {
        let new = changes(&text);
        let Ok(edited) = place(&text, &after_source(&new)) else { return Ok(()) };
        // An earlier run that knew less.
        let old = edited.text.replacen("- PUT", "- GET", 1);
        let second = changes(&old);
        prop_assert!(!second.is_empty() || old == edited.text);
        let again = place(&old, &after_source(&second));
        prop_assert!(again.as_ref().is_ok_and(|again| again.text == edited.text && again.added.is_empty()),
            "{:?}\n{}", again, old);
    }

    #[test]
    fn whatever_the_text_is_only_one_part_is_added(
        text in file(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..9usize, "[-{}\\[\\]:#&*|>'\"\\n\\r\\t a.%]{0,3}"), 1..4),
        which in any::<prop::sample::Index>(),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, gone, added) in damage {
            let at = at.index(characters.len().max(1)).min(characters.len());
            let end = (at + gone).min(characters.len());
            characters.splice(at..end, added.chars());
        }
        one_part(&characters.into_iter().collect::<String>(), which);
    }

    #[test]
    fn no_text_makes_the_editor_panic(text in "\\PC{0,80}|[-{}\\[\\]:#&*|>'\"\\n\\r a.%]{0,60}", which in any::<prop::sample::Index>()) {
        one_part(&text, which);
    }
}

/// Puts one object beside another one of the text; if that can be done, all other bytes are as before.
fn one_part(text: &str, which: prop::sample::Index) {
    let layout = Layout::of(text);
    if layout.spots().is_empty() || is_json(text) {
        return;
    }
    let from = which.get(layout.spots()).id.clone();
    let id = ObjectRef {
        namespace: from.namespace.clone(),
        kind: Kind::HttpRoute,
        name: "new".into(),
    };
    let after = Manifest::from(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "new", "namespace": from.namespace.as_deref() }, "spec": { "rules": ["a\nb\n"] },
    }));
    let change = Change {
        id,
        instead_of: None,
        from,
        before: None,
        after,
    };
    let Ok(edited) = place(text, &after_source(std::slice::from_ref(&change))) else {
        return;
    };
    let new = edited.text.as_bytes();
    let old = text.as_bytes();
    let same = |(a, b): &(&u8, &u8)| a == b;
    let head = old.iter().zip(new).take_while(same).count();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    assert!(head + tail >= old.len(), "{text:?} became {:?}", edited.text);
    let again = place(&edited.text, &after_source(std::slice::from_ref(&change)));
    assert!(again.is_err() || again.is_ok_and(|again| again.text == edited.text && !again.is_changed()));
}
