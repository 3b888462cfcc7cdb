//! Addresses that a plan could not know: those of Services that it creates itself.

use super::api::Cluster;
use super::write::WriteError;
use crate::plan::document::Target;
use serde_json::Value as Json;

/// What stands in a manifest for the address of a Service: `$(service-address NAMESPACE/NAME)`.
const BEGIN: &str = "$(service-address ";
const END: char = ')';

/// The manifest of `target` with the addresses as they are now.
pub(super) async fn resolved(
    cluster: &Cluster,
    target: &Target,
    mut manifest: Json,
) -> Result<Json, WriteError> {
    let mut wanted = Vec::new();
    visit(&mut manifest, &mut |text| wanted.extend(service_in(text)));
    for name in wanted {
        let address = address_of(cluster, target, &name).await?;
        visit(&mut manifest, &mut |text| {
            *text = text.replace(&format!("{BEGIN}{name}{END}"), &address);
        });
    }
    Ok(manifest)
}

async fn address_of(cluster: &Cluster, target: &Target, name: &str) -> Result<String, WriteError> {
    let missing = |what: &str| {
        WriteError::foreign(
            target,
            format!("it needs the address of Service {name}, which {what}"),
        )
    };
    let Some((namespace, service)) = name.split_once('/') else {
        return Err(missing("has no namespace"));
    };
    let service = Target {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: service.to_owned(),
    };
    let found = cluster.get(&service).await.map_err(WriteError::of(&service))?;
    let object = found.ok_or_else(|| missing("does not exist"))?;
    match object["spec"]["clusterIP"].as_str() {
        None | Some("" | "None") => Err(missing("has none of its own")),
        Some(address) if address.contains(':') => Ok(format!("[{address}]")),
        Some(address) => Ok(address.to_owned()),
    }
}

/// The first Service whose address a text asks for.
fn service_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(BEGIN)?;
    Some(rest.split_once(END)?.0.to_owned())
}

fn visit(value: &mut Json, see: &mut impl FnMut(&mut String)) {
    match value {
        Json::String(text) => see(text),
        Json::Array(items) => items.iter_mut().for_each(|item| visit(item, see)),
        Json::Object(map) => map.values_mut().for_each(|item| visit(item, see)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::service_in;

    #[test]
    fn what_is_asked_for_is_found() {
        assert_eq!(service_in("$(service-address a/b):15008"), Some("a/b".to_owned()));
        assert_eq!(service_in("10.0.0.1:80 $(address)"), None);
    }
}
