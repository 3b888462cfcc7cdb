//! New objects into files of users: those of a conversion, and one beside each object of the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_migrate::convert::{Change, Manifest, Options, convert};
use mesh_migrate::edit::kustomization::with_resource;
use mesh_migrate::edit::{At, Layout, Placement, chart, place};
use mesh_migrate::input::files::{Text, read_texts};
use model::{Kind, ObjectRef};
use serde_json::json;

fuzz_target!(|text: &str| {
    let input = read_texts(&[Text {
        name: "mesh.yaml".into(),
        content: text.to_owned(),
    }]);
    let changes = convert(&input.mesh, Options::default()).changes;
    let _ = put(text, &changes);
    let layout = Layout::of(text);
    for spot in layout.spots() {
        let change = beside(&spot.id);
        if !matches!(layout.only(&change.id), Ok(None)) {
            continue;
        }
        let Some(new) = put(text, std::slice::from_ref(&change)) else {
            continue;
        };
        // One part was put in, and all else is as it was.
        let same = |(a, b): &(u8, u8)| a == b;
        let head = text.bytes().zip(new.bytes()).take_while(same).count();
        let tail = text.bytes().rev().zip(new.bytes().rev()).take_while(same).count();
        assert!(head + tail >= text.len(), "{new:?}");
    }
    let _ = chart::objects(text);
    let _ = chart::source(text);
    if let Some(new) = with_resource(text, &|name| name == "web.json", "web.ambient.yaml") {
        assert_eq!(
            with_resource(&new, &|_| true, "web.ambient.yaml"),
            Some(new.clone())
        );
    }
});

/// The new text, in which the same objects are put without any change.
fn put(text: &str, changes: &[Change]) -> Option<String> {
    let at = At::AfterSource;
    let placements: Vec<Placement<'_>> = changes.iter().map(|change| Placement { change, at }).collect();
    let edited = place(text, &placements).ok()?;
    let again = place(&edited.text, &placements).unwrap();
    assert!(!again.is_changed() && again.text == edited.text);
    Some(edited.text)
}

fn beside(from: &ObjectRef) -> Change {
    let labels = json!({ "app.kubernetes.io/managed-by": "mesh-migrate" });
    Change {
        id: ObjectRef {
            namespace: from.namespace.clone(),
            kind: Kind::HttpRoute,
            name: "new".into(),
        },
        instead_of: None,
        from: from.clone(),
        before: None,
        after: Manifest::from(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "new", "namespace": from.namespace.as_deref(), "labels": labels },
            "spec": { "rules": ["a\nb\n"] },
        })),
    }
}
