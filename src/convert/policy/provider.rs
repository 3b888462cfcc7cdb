//! External providers that CUSTOM policies ask, as the mesh configuration describes them.

use crate::convert::context::{Context, Host};
use foldhash::HashMap;
use model::Node;
use model::settings::mesh_configurations;

/// What is known of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// A waypoint can ask it, as far as the input shows.
    Reachable,
    /// It stands beside the application, where a waypoint cannot ask it; with its address.
    Beside(String),
    /// It has nothing to do with authorization.
    OtherKind,
}

/// The providers by name.
pub fn providers(context: &Context<'_>) -> HashMap<String, Provider> {
    let mut found = HashMap::default();
    let configurations = mesh_configurations(context.mesh);
    let lists = configurations
        .iter()
        .filter_map(|node| node.get("extensionProviders"));
    // The first configuration that has the list counts.
    for provider in lists.take(1).flat_map(Node::items) {
        let Some(name) = provider.get("name").and_then(Node::as_str) else {
            continue;
        };
        let authorizer = ["envoyExtAuthzHttp", "envoyExtAuthzGrpc"]
            .iter()
            .find_map(|key| provider.get(key));
        let state = match authorizer {
            None => Provider::OtherKind,
            Some(authorizer) => state(context, authorizer),
        };
        found.insert(name.to_owned(), state);
    }
    found
}

fn state(context: &Context<'_>, authorizer: &Node) -> Provider {
    let service = authorizer
        .get("service")
        .and_then(Node::as_str)
        .unwrap_or_default();
    let host = service.rsplit_once('/').map_or(service, |(_, host)| host);
    if is_local(host) {
        return Provider::Beside(host.to_owned());
    }
    if let Host::ServiceEntry(entry) = context.host(host, &context.mesh.settings.root_namespace) {
        let addresses = entry.spec.endpoints.iter();
        let mut addresses = addresses.filter_map(|endpoint| endpoint.0.get("address")?.as_str());
        if let Some(address) = addresses.find(|address| is_local(address)) {
            return Provider::Beside(address.to_owned());
        }
    }
    Provider::Reachable
}

fn is_local(address: &str) -> bool {
    address == "localhost" || address.starts_with("127.") || address == "::1" || address.starts_with("unix:")
}
