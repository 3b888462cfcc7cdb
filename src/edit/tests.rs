use super::*;
use crate::convert::Manifest;
use model::Kind;
use serde_json::json;

fn id(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef {
        namespace: Some("shop".into()),
        kind,
        name: name.into(),
    }
}

/// An HTTPRoute `new` made from the VirtualService `web`.
fn change() -> Change {
    Change {
        id: id(Kind::HttpRoute, "new"),
        instead_of: None,
        from: id(Kind::VirtualService, "web"),
        before: None,
        after: Manifest::from(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "new", "namespace": "shop", "labels": { MANAGED_BY: PROGRAM } },
            "spec": { "rules": [] },
        })),
    }
}

fn placed(text: &str) -> Result<String, Reason> {
    let change = change();
    let placement = Placement {
        change: &change,
        at: At::AfterSource,
    };
    place(text, &[placement])
        .map(|edited| edited.text)
        .map_err(|refused| refused.reason)
}

const WEB: &str =
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: shop}\n";
const NEW: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: new\n  namespace: shop\n  labels:\n    \
                   app.kubernetes.io/managed-by: mesh-migrate\nspec:\n  rules: []\n";

#[test]
fn a_new_object_is_a_document_after_the_one_that_it_was_made_from() {
    assert_eq!(placed(WEB), Ok(format!("{WEB}---\n{NEW}")));
    let other = "---\nkind: Other\napiVersion: v1\nmetadata: {name: x}\n";
    assert_eq!(
        placed(&format!("{WEB}{other}")),
        Ok(format!("{WEB}---\n{NEW}{other}"))
    );
    let open = WEB.trim_end();
    assert_eq!(placed(open), Ok(format!("{open}\n---\n{}", NEW.trim_end())));
}

#[test]
fn what_is_there_already_stays() {
    // Written otherwise, and with the label of someone else.
    let there = "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\nmetadata:\n  name: new\n  namespace: shop\n  labels: \
                 {app.kubernetes.io/managed-by: mesh-migrate, team: web}\nspec: {rules: [ ]}\n";
    let text = format!("{WEB}--- # ours\n{there}");
    assert_eq!(placed(&text), Ok(text));
}

#[test]
fn what_cannot_be_done_has_a_reason() {
    let foreign = NEW.replace(": mesh-migrate", ": kustomize");
    let changed = NEW.replace("rules: []", "rules: [{}]");
    for (text, reason) in [
        (format!("{WEB}---\n{WEB}"), Reason::SourceTwice),
        ("kind: VirtualService\n".to_owned(), Reason::NoSource),
        (String::new(), Reason::NoSource),
        (format!("{WEB}---\n{foreign}"), Reason::Foreign),
        (format!("{WEB}---\n{NEW}---\n{NEW}"), Reason::Twice),
        ("{\"kind\": \"VirtualService\"}".to_owned(), Reason::Json),
        (format!("{WEB}text: |\n  without an end"), Reason::Disturbed),
        (
            format!(
                "apiVersion: v1\nkind: FirstList\nitems:\n- {}",
                changed.replace('\n', "\n  ")
            ),
            Reason::InBrackets,
        ),
    ] {
        assert_eq!(placed(&text), Err(reason), "{text}");
    }
}

#[test]
fn an_item_of_a_list_stands_like_its_neighbours() {
    let item = |text: &str| text.trim_end().replace('\n', "\n      ");
    let (web, new) = (item(WEB), item(NEW));
    let list = |items: &str| format!("kind: List\napiVersion: v1\nitems:\n{items}metadata: {{}}\n");
    assert_eq!(
        placed(&list(&format!(
            "  -   {web}\n      # of web\n\n  # of the next\n  -   a: b\n"
        ))),
        Ok(list(&format!(
            "  -   {web}\n      # of web\n  -   {new}\n\n  # of the next\n  -   a: b\n"
        )))
    );
    let last = format!("kind: List\napiVersion: v1\nitems:\n  -   {web}\n...\n");
    let expected = format!("kind: List\napiVersion: v1\nitems:\n  -   {web}\n  -   {new}\n...\n");
    assert_eq!(placed(&last), Ok(expected));
}
