use super::*;
use serde_json::json;

fn set(labels: Json) -> Write {
    Write::Set {
        manifest: json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop", "labels": labels}}),
    }
}

fn web() -> Target {
    set(json!({})).target()
}

#[test]
fn the_union_is_of_all_writes_on_the_object_since_it_was_last_deleted() {
    let other = Write::Set {
        manifest: json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "other", "labels": {"c": "3"}}}),
    };
    let writes = [set(json!({"a": "1"})), other, set(json!({"b": "2"}))];
    assert_eq!(
        union(writes.iter(), &web())["metadata"]["labels"],
        json!({"a": "1", "b": "2"})
    );
    let gone = [set(json!({"a": "1"})), Write::Delete { object: web() }];
    assert_eq!(union(gone.iter(), &web()), bare(&web()));
    let again = [gone[0].clone(), gone[1].clone(), set(json!({"b": "2"}))];
    assert_eq!(
        union(again.iter(), &web())["metadata"]["labels"],
        json!({"b": "2"})
    );
}

#[test]
fn what_is_created_carries_our_label() {
    let create = [Write::Create {
        manifest: json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}),
    }];
    assert!(is_ours(&union(create.iter(), &web())));
}

#[test]
fn fields_that_someone_took_are_not_applied_again() {
    let manifest = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}},
        "spec": {"ports": [{"port": 80}], "type": "ClusterIP"}});
    let fields =
        json!({"f:metadata": {"f:labels": {"f:b": {}}}, "f:spec": {"f:ports": {"k:{\"port\":80}": {}}}});
    assert_eq!(
        still_ours(&manifest, &fields),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"b": "2"}},
            "spec": {"ports": [{"port": 80}]}})
    );
}

#[test]
fn a_label_goes_back_to_all_of_its_owners() {
    let owner = |manager: &str, operation: &str, fields: Json| {
        json!({"manager": manager, "operation": operation,
        "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": fields}}})
    };
    let before = json!({"metadata": {"managedFields": [
        owner("helm", "Apply", json!({"f:a": {}, "f:x": {}})),
        owner("kubectl", "Update", json!({"f:x": {}})),
    ]}});
    let owners = owners_of_label(&before, "x");
    // Without the label, kubectl had nothing left; we wrote the label back.
    let now = json!({"metadata": {"managedFields": [
        owner("helm", "Apply", json!({"f:a": {}})),
        owner("mesh-migrate", "Update", json!({"f:x": {}})),
    ]}});
    assert_eq!(
        give_label_back(&now, "x", &owners),
        [
            owner("helm", "Apply", json!({"f:a": {}, "f:x": {}})),
            owner("kubectl", "Update", json!({"f:x": {}})),
        ]
    );
    assert_eq!(owners_of_label(&now, "a").len(), 1);
}
