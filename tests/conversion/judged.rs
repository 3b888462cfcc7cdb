//! Every object that is made of the cases, all at once in namespaces of their own, and what istiod says of it.

use super::cases::Case;
use super::status::{Judgement, judge};
use bed::{Bed, Settings, eventually};
use mesh_migrate::convert::MANAGED_BY;
use mesh_migrate::convert::options::Channel;
use model::Object;
use rcgen::{CertifiedKey, KeyPair};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

/// Some hundred objects, on a control plane that shares two cores with everything else.
const JUDGED_WITHIN: Duration = Duration::from_secs(240);

/// Namespaces that are the bed's own; what a case does there would be done to every test.
const SHARED: [&str; 2] = ["istio-system", "default"];

/// Kinds in whose status istiod says what it thinks of them.
const JUDGED: &str = "gateways.gateway.networking.k8s.io,httproutes,tcproutes,tlsroutes,\
                      authorizationpolicies,requestauthentications";

fn is_judged(object: &Value) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    kind.ends_with("Route") || ["Gateway", "AuthorizationPolicy", "RequestAuthentication"].contains(&kind)
}

/// What of a case goes to the cluster.
struct Staged {
    case: String,
    namespaces: BTreeSet<String>,
    /// Services, ServiceEntries and waypoints of the input.
    given: Vec<Value>,
    made: Vec<Value>,
}

/// Text with a name in the place of another where that stands alone: not as a part of a longer one.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let mut new = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let before_ends = before.chars().next_back().or(new.chars().next_back());
        let alone = !before_ends.is_some_and(is_part) && !after.chars().next().is_some_and(is_part);
        new.push_str(before);
        new.push_str(if alone { to } else { from });
        rest = after;
    }
    new + rest
}

/// An object as it is written, as far as it does not speak of another cluster.
fn written<T>(object: &Object<T>) -> Value {
    let mut value = Value::from(&*object.raw);
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    if let Some(spec) = value["spec"].as_object_mut()
        && spec.get("clusterIP").is_some_and(|address| address != "None")
    {
        // An address of another cluster.
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    value["metadata"] = json!({
        "name": object.name(),
        "namespace": object.namespace(),
        "labels": object.meta.labels,
        "annotations": object.meta.annotations,
    });
    value
}

/// Binds what has an address to the one waypoint of this namespace, unless it says that it uses none.
fn bind(object: &mut Value, waypoint: &str) {
    const USE: &str = "istio.io/use-waypoint";
    let has_address = object["kind"] == "Service" || object["kind"] == "ServiceEntry";
    if has_address && object["metadata"]["labels"][USE] != "none" {
        object["metadata"]["labels"][USE] = json!("waypoint");
        object["metadata"]["labels"]["istio.io/use-waypoint-namespace"] = json!(waypoint);
    }
}

/// A case in namespaces that no other has; `None` where it needs shared ones, or Services that nobody has written.
fn staged(number: usize, name: &str, content: &str, waypoint: &str) -> Option<Staged> {
    let before = Case::of(content.to_owned());
    let is_standard = before.options.gateway_api.channel == Channel::Standard;
    if !is_standard || content.contains("--assume-services") {
        return None;
    }
    let namespaces: BTreeSet<String> = before
        .input
        .mesh
        .ids()
        .filter_map(|id| id.namespace.as_deref().map(str::to_owned))
        .collect();
    if namespaces.iter().any(|name| SHARED.contains(&name.as_str())) {
        return None;
    }
    let own = |namespace: &str| format!("{namespace}-c{number}-{}", std::process::id());
    let content = namespaces
        .iter()
        .fold(content.to_owned(), |text, name| renamed(&text, name, &own(name)));
    let case = Case::of(content);
    let mesh = &case.input.mesh;
    let services = mesh.services.iter().map(written);
    let entries = mesh.service_entries.iter().map(written);
    let mut made: Vec<Value> = case
        .convert()
        .changes
        .iter()
        .map(|change| change.after.to_json())
        .collect();
    // Each would bring a pod up, and says nothing that the plan's tests do not say.
    made.retain(|object| !is_waypoint(object));
    let waypoints = mesh.gateways.iter().map(written);
    let waypoints = waypoints.filter(|gateway| made.iter().any(|policy| targets(policy, gateway)));
    let mut given: Vec<Value> = services.chain(entries).chain(waypoints).collect();
    for object in given.iter_mut().chain(&mut made) {
        bind(object, waypoint);
    }
    given.extend(made.iter().flat_map(certificates));
    Some(Staged {
        case: name.to_owned(),
        namespaces: namespaces.iter().map(|name| own(name)).collect(),
        given,
        made,
    })
}

/// Secrets for what the listeners of a Gateway refer to, all with one certificate, which is its own authority.
fn certificates(gateway: &Value) -> Vec<Value> {
    static PAIR: LazyLock<CertifiedKey<KeyPair>> =
        LazyLock::new(|| rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap());
    let listeners = gateway["spec"]["listeners"].as_array().into_iter().flatten();
    let of_listeners = listeners.filter_map(|listener| listener["tls"]["certificateRefs"].as_array());
    let frontend = &gateway["spec"]["tls"]["frontend"];
    let of_ports = frontend["perPort"].as_array().into_iter().flatten();
    let validations = of_ports.map(|port| &port["tls"]).chain([&frontend["default"]]);
    let of_clients = validations.filter_map(|tls| tls["validation"]["caCertificateRefs"].as_array());
    let references = of_listeners.chain(of_clients).flatten();
    let secret = |reference: &Value| {
        let certificate = PAIR.cert.pem();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": { "name": reference["name"], "namespace": gateway["metadata"]["namespace"] },
            "stringData": {
                "tls.crt": certificate,
                "tls.key": PAIR.signing_key.serialize_pem(),
                "ca.crt": certificate,
            },
        })
    };
    references.map(secret).collect()
}

fn is_waypoint(object: &Value) -> bool {
    object["spec"]["gatewayClassName"] == "istio-waypoint"
}

fn targets(policy: &Value, gateway: &Value) -> bool {
    let targets = policy["spec"]["targetRefs"].as_array().into_iter().flatten();
    let mut targets = targets.filter(|target| target["kind"] == "Gateway");
    targets.any(|target| target["name"] == gateway["metadata"]["name"])
        && policy["metadata"]["namespace"] == gateway["metadata"]["namespace"]
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Takes the namespaces of the cases away when it is dropped.
struct Cleared<'a>(&'a Bed);

const STAGE: &str = "mesh-migrate.io/stage=conversion";

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        // What remains, `bed reset` removes.
        let _ = self
            .0
            .kubectl()
            .run(&["delete", "namespaces", "--selector", STAGE, "--wait=false"]);
    }
}

#[test]
fn istiod_takes_every_object_that_is_made_of_the_cases() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let home = bed.namespace_with("waypoints", Settings::OutsideOfMesh);
    home.apply(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: waypoint}\nspec:\n  \
         gatewayClassName: istio-waypoint\n  listeners:\n  \
         - {name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}\n",
    );
    let cases: Vec<Staged> = Case::texts()
        .iter()
        .enumerate()
        .filter_map(|(number, (name, content))| staged(number, name, content, home.name()))
        .filter(|staged| !staged.made.is_empty())
        .collect();
    let _cleared = Cleared(bed);
    let namespaces: Vec<Value> = cases
        .iter()
        .flat_map(|staged| &staged.namespaces)
        .map(|name| {
            let labels = json!({"mesh-migrate.io/stage": "conversion"});
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        })
        .collect();
    let of_all = |part: fn(&Staged) -> &Vec<Value>| -> Vec<Value> {
        cases.iter().flat_map(|staged| part(staged).clone()).collect()
    };
    for part in [
        namespaces,
        of_all(|staged| &staged.given),
        of_all(|staged| &staged.made),
    ] {
        bed.kubectl().apply(&list(&part)).unwrap();
    }
    let judgements = eventually(JUDGED_WITHIN, || judged(bed, &cases));
    let counted = judgements.iter().fold(BTreeMap::new(), |mut counted, judgement| {
        *counted.entry(judgement.to_string()).or_insert(0) += 1;
        counted
    });
    println!("{} cases: {counted:#?}", cases.len());
    assert!(counted["accepted"] > 60, "{counted:#?}");
}

/// What istiod says of every object that was made, once it says nothing wrong of any.
fn judged(bed: &Bed, cases: &[Staged]) -> Result<Vec<Judgement>, String> {
    let ours = format!("--selector={MANAGED_BY}=mesh-migrate");
    let found = bed
        .kubectl()
        .json(&["get", JUDGED, "--all-namespaces", &ours])
        .map_err(|error| error.to_string())?;
    let key = |object: &Value| {
        ["/kind", "/metadata/namespace", "/metadata/name"].map(|at| object.pointer(at).cloned())
    };
    let stored: BTreeMap<String, &Value> = found["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|object| (format!("{:?}", key(object)), object))
        .collect();
    let mut judgements = Vec::new();
    let mut wrong = Vec::new();
    for staged in cases {
        for object in staged.made.iter().filter(|object| is_judged(object)) {
            let stored = stored.get(&format!("{:?}", key(object)));
            match stored
                .ok_or_else(|| "not stored".to_owned())
                .and_then(|stored| judge(stored))
            {
                Ok(judgement) => judgements.push(judgement),
                Err(trouble) => wrong.push(format!("{}: {trouble}", staged.case)),
            }
        }
    }
    if wrong.is_empty() {
        Ok(judgements)
    } else {
        Err(format!("{} objects\n{}", wrong.len(), wrong.join("\n")))
    }
}

impl Case {
    /// The texts of all cases, with the names of their files.
    fn texts() -> Vec<(String, String)> {
        Self::paths()
            .iter()
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect()
    }
}
