//! Who sees a VirtualService, and who would see the route made of it.

use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::waypoint::Bound;
use model::FieldPath;
use model::meta::Object;
use model::settings::MeshSettings;
use model::virtual_service::VirtualService;
use std::collections::BTreeSet;

/// Clients that see an object, by their namespace (`exportTo`; absent, the mesh's default).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visibility {
    /// All.
    Everyone,
    /// Those of these namespaces.
    Namespaces(BTreeSet<String>),
    /// None.
    Nobody,
}

impl Visibility {
    /// Of an object as it stands.
    pub fn of(object: &Object<VirtualService>, settings: &MeshSettings) -> Self {
        if object.spec.export_to.is_empty() {
            Self::of_routes_in(object.namespace(), settings)
        } else {
            Self::read(&object.spec.export_to, object.namespace())
        }
    }

    /// Of every route of the Gateway API in a namespace.
    ///
    /// Source: istio/istio:pilot/pkg/config/kube/gateway/conversion.go; a route has no `exportTo` of its own.
    pub fn of_routes_in(namespace: &str, settings: &MeshSettings) -> Self {
        Self::read(&settings.default_virtual_service_export_to, namespace)
    }

    fn read(export_to: &[String], namespace: &str) -> Self {
        if export_to.is_empty() || export_to.iter().any(|to| to == "*") {
            return Self::Everyone;
        }
        let names: BTreeSet<String> = export_to
            .iter()
            .filter(|to| *to != "~")
            .map(|to| {
                if to == "." {
                    namespace.to_owned()
                } else {
                    to.clone()
                }
            })
            .collect();
        if names.is_empty() {
            Self::Nobody
        } else {
            Self::Namespaces(names)
        }
    }

    /// Whether clients of a namespace see it.
    pub fn reaches(&self, namespace: &str) -> bool {
        match self {
            Self::Everyone => true,
            Self::Namespaces(names) => names.contains(namespace),
            Self::Nobody => false,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Everyone => "every client".to_owned(),
            Self::Namespaces(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                format!("clients in {}", names.join(", "))
            }
            Self::Nobody => "nobody".to_owned(),
        }
    }
}

/// Compares who sees the old object with who would see the new one, and whether the waypoint is among them.
pub fn check(context: &Context<'_>, object: &Object<VirtualService>, notes: &mut Notes<'_, VirtualService>) {
    let settings = &context.mesh.settings;
    let (old, new) = (
        Visibility::of(object, settings),
        Visibility::of_routes_in(object.namespace(), settings),
    );
    let path = FieldPath::spec().key("exportTo");
    if old == Visibility::Nobody {
        notes.keep(
            Code::ObjectWithoutEffect,
            &path,
            "no namespace sees the object, so its rules never had an effect",
        );
        return;
    }
    let waypoint = match context.bound_in(object.namespace()) {
        Bound::To { namespace, .. } => Some(namespace.to_owned()),
        _ => None,
    };
    let place = waypoint.as_deref().unwrap_or(object.namespace());
    if !old.reaches(place) && (waypoint.is_some() || !old.reaches(object.namespace())) {
        let message = format!(
            "the rules are visible to {} only, and the waypoint in `{place}` is not among them: for it there are no rules",
            old.shown()
        );
        notes.keep(Code::NotVisibleToWaypoint, &path, message);
    } else if old == new {
        if waypoint.is_none() && new != Visibility::Everyone {
            let message = format!(
                "routes of `{}` are visible to {} only, by `defaultVirtualServiceExportTo` of the mesh: a waypoint in any other namespace sees neither the rules nor their route",
                object.namespace(),
                new.shown()
            );
            notes.tell(Code::WaypointMustSee, &FieldPath::spec(), message);
        }
    } else if old == Visibility::Everyone {
        let message = format!(
            "the rules are visible to every client, an HTTPRoute by the mesh's default to {} only",
            new.shown()
        );
        notes.keep(Code::Visibility, &path, message);
    } else {
        let message = format!(
            "the rules are visible to {} only; an HTTPRoute is visible to {}. A waypoint that sees them applies them for every client",
            old.shown(),
            new.shown()
        );
        notes.keep(Code::Visibility, &path, message);
    }
}
