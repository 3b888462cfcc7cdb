//! ServiceEntry: ambient mode reads it, but for patterns, visibility and what clients did for hosts outside.

use super::waypoint::{Served, Waypoints};
use super::{quoted, some_of, spec, text};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Disposition, Sink};
use model::traffic::ServiceEntry;
use model::{FieldPath, Object};
use std::collections::HashMap;

type EntryNotes<'a> = Notes<'a, ServiceEntry>;

/// The first release whose waypoints know patterns.
const DYNAMIC_DNS_SINCE: u32 = 28;

/// Tells of every ServiceEntry what ambient mode reads differently.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let waypoints = Waypoints::of(context);
    let mut by_host: HashMap<&str, Vec<&Object<ServiceEntry>>> = HashMap::new();
    for entry in &context.mesh.service_entries {
        for host in &entry.spec.hosts {
            by_host.entry(host).or_default().push(entry);
        }
    }
    for object in &context.mesh.service_entries {
        let mut notes = Notes::on(object);
        let served = waypoints.of_entry(object).served;
        patterns(context, object, served, &mut notes);
        visibility(object, &by_host, &mut notes);
        addresses(object, &mut notes);
        endpoints(object, &mut notes);
        if let Served::Nothing(reason) = served {
            routes(context, object, reason, &mut notes);
        }
        sink.put(
            object,
            Disposition::NothingToDo,
            Vec::new(),
            notes.into_findings(),
        );
    }
}

fn patterns(
    context: &Context<'_>,
    object: &Object<ServiceEntry>,
    served: Served<'_>,
    notes: &mut EntryNotes<'_>,
) {
    let internal = object.spec.location.as_deref() == Some("MESH_INTERNAL");
    let resolution = object.spec.resolution.as_deref().unwrap_or("NONE");
    let path = spec(&["hosts"]);
    for (index, host) in object.spec.hosts.iter().enumerate() {
        if !host.starts_with('*') {
            continue;
        }
        let path = path.index(index);
        match resolution {
            "NONE" => {
                let message = format!(
                    "`{host}` with resolution NONE: traffic to such hosts passes through ztunnel as to unknown ones"
                );
                notes.tell(Code::WildcardEntryUnknown, &path, message);
            }
            "DYNAMIC_DNS" if !internal && context.options.istio.0 >= DYNAMIC_DNS_SINCE => {
                if matches!(served, Served::Nothing(_)) {
                    let message =
                        format!("`{host}` is resolved by a waypoint only, and none is bound to the entry");
                    notes.tell(Code::WildcardEntryNeedsWaypoint, &path, message);
                }
            }
            "DYNAMIC_DNS" if internal => {
                let message =
                    format!("`{host}` is inside of the mesh, and waypoints leave out DYNAMIC_DNS there");
                notes.tell(Code::WildcardEntryNotServed, &path, message);
            }
            other => {
                let message = format!(
                    "`{host}` with resolution {other}: ambient mode does not know its endpoints, so traffic goes where DNS says"
                );
                notes.tell(Code::WildcardEntryNotServed, &path, message);
            }
        }
    }
}

/// Whether an entry is visible to some namespaces only.
fn hides(entry: &ServiceEntry) -> bool {
    !entry.export_to.is_empty() && !entry.export_to.iter().any(|target| target == "*")
}

fn visibility(
    object: &Object<ServiceEntry>,
    by_host: &HashMap<&str, Vec<&Object<ServiceEntry>>>,
    notes: &mut EntryNotes<'_>,
) {
    let is_private = |entry: &ServiceEntry| entry.export_to.iter().all(|target| target == ".");
    for (index, host) in object.spec.hosts.iter().enumerate() {
        let others: Vec<_> = by_host
            .get(host.as_str())
            .into_iter()
            .flatten()
            .filter(|other| other.namespace() != object.namespace())
            .collect();
        let hidden = hides(&object.spec) || others.iter().any(|other| hides(&other.spec));
        // Private to its namespace on both sides, each client gets its own, as before.
        let apart = hides(&object.spec)
            && is_private(&object.spec)
            && others
                .iter()
                .all(|other| hides(&other.spec) && is_private(&other.spec));
        if !others.is_empty() && hidden && !apart {
            let message = format!(
                "`{host}` is defined by {} too; `exportTo` chose between them for each client, ztunnel ignores it",
                some_of(others.iter().map(|other| &other.id))
            );
            notes.tell(Code::EntryContested, &spec(&["hosts"]).index(index), message);
        }
    }
    if hides(&object.spec) {
        let message = format!(
            "`exportTo` shows {} to {} only; ztunnel ignores it, so every client sees them",
            quoted(&object.spec.hosts),
            quoted(&object.spec.export_to)
        );
        notes.tell(Code::EntryVisibleToAll, &spec(&["exportTo"]), message);
    }
}

fn addresses(object: &Object<ServiceEntry>, notes: &mut EntryNotes<'_>) {
    for (index, address) in object.spec.addresses.iter().enumerate() {
        if is_range(address) {
            let message = format!("`{address}` is a range: istiod leaves out the whole entry for ztunnel");
            notes.tell(
                Code::EntryAddressRange,
                &spec(&["addresses"]).index(index),
                message,
            );
        }
    }
}

/// Whether a CIDR holds more than one address.
fn is_range(address: &str) -> bool {
    address.split_once('/').is_some_and(|(network, bits)| {
        let whole = if network.contains(':') { "128" } else { "32" };
        bits != whole
    })
}

fn endpoints(object: &Object<ServiceEntry>, notes: &mut EntryNotes<'_>) {
    let path = spec(&["endpoints"]);
    for (index, endpoint) in object.spec.endpoints.iter().enumerate() {
        let path = path.index(index);
        let address = text(&endpoint.0, "address").unwrap_or_default();
        if address.starts_with("unix://") {
            let message =
                format!("`{address}` is a socket file, which neither ztunnel nor a waypoint can reach");
            notes.tell(Code::EndpointOnSocket, &path.key("address"), message);
        }
        if endpoint.0.get("weight").is_some() {
            let message = "ztunnel chooses among the endpoints without looking at `weight`";
            notes.tell(Code::EndpointWeightIgnored, &path.key("weight"), message);
        }
    }
}

/// What VirtualServices did for the hosts at the clients needs a waypoint to do it.
fn routes(context: &Context<'_>, object: &Object<ServiceEntry>, reason: &str, notes: &mut EntryNotes<'_>) {
    for (index, host) in object.spec.hosts.iter().enumerate() {
        let mut routers: Vec<_> = context.claimants(host).map(|router| &router.id).collect();
        routers.sort();
        routers.dedup();
        if !routers.is_empty() {
            let path: FieldPath = spec(&["hosts"]).index(index);
            let message = format!("`{host}` {reason}, so nothing applies {}", some_of(routers));
            notes.tell(Code::EntryNeedsWaypoint, &path, message);
        }
    }
}
