//! One rule of a VirtualService as a way.

use super::path_edit::PathEdit;
use super::ways::{Condition, Edits, HeaderEdit, Place, Routing, Way};
use crate::convert::context::Host;
use model::ObjectRef;
use model::meta::Object;
use model::traffic::Service;
use model::values::StringMatch;
use model::virtual_service::{Destination, HttpMatchRequest, HttpRoute, VirtualService};
use semantics::predicate::RequestMatch;
use semantics::virtual_service;

/// Reads one rule of a VirtualService.
pub struct RuleReader<'a, 'r> {
    /// Look-ups.
    pub routing: &'r Routing<'r, 'a>,
    /// The object.
    pub object: &'a Object<VirtualService>,
    /// The Service that is dialled.
    pub service: &'a Object<Service>,
    /// The rule.
    pub rule: &'r HttpRoute,
}

impl<'a> RuleReader<'a, '_> {
    /// The way of one of its matches.
    pub fn way(&self, wanted: &HttpMatchRequest) -> Way<'a> {
        let rule = self.rule;
        let (places, elsewhere) = self.places();
        Way {
            condition: condition(wanted),
            edits: self.edits(wanted),
            places,
            elsewhere,
            answered: rule.redirect.is_some() || rule.direct_response.is_some(),
            router: Some(&self.object.id),
            cors: rule.cors_policy.clone(),
        }
    }

    fn places(&self) -> (Vec<Place<'a>>, bool) {
        let rule = self.rule;
        let only = rule.route.len() == 1;
        let (mut places, mut elsewhere) = (Vec::new(), rule.delegate.is_some());
        let with_a_share = rule
            .route
            .iter()
            .filter(|route| only || route.weight.unwrap_or(0) > 0);
        for route in with_a_share {
            match self.place(&route.destination) {
                Some(place) => places.push(place),
                None => elsewhere = true,
            }
        }
        (places, elsewhere)
    }

    fn place(&self, destination: &Destination) -> Option<Place<'a>> {
        let Host::Service(service) = self
            .routing
            .context
            .host(&destination.host, self.object.namespace())
        else {
            return None;
        };
        let subset = destination.subset.as_deref();
        let labels = subset.and_then(|subset| self.routing.labels(service, subset));
        Some(Place {
            service,
            port: destination.port.as_ref().and_then(|port| Some(port.number?.0)),
            labels,
        })
    }

    /// Where it sends copies.
    pub fn mirrors(&self) -> Vec<(&'a ObjectRef, Place<'a>)> {
        let rule = self.rule;
        let single = rule.mirror.as_deref().into_iter();
        let several = rule.mirrors.iter().map(|mirror| &mirror.destination);
        single
            .chain(several)
            .filter_map(|destination| Some((&self.object.id, self.place(destination)?)))
            .filter(|(_, place)| place.service.id != self.service.id)
            .collect()
    }

    fn edits(&self, wanted: &HttpMatchRequest) -> Edits {
        let rule = self.rule;
        let mut edits = Edits {
            unknown: rule.delegate.is_some(),
            ..Edits::default()
        };
        if let Some(rewrite) = &rule.rewrite {
            edits.path = match (&rewrite.uri, &rewrite.uri_regex_rewrite) {
                (None, None) => None,
                (Some(uri), None) => Some(path_edit(wanted, uri)),
                _ => Some(PathEdit::Opaque),
            };
            edits.host = rewrite.authority.as_deref().map(value);
        }
        let own = rule
            .headers
            .as_deref()
            .and_then(|headers| headers.request.as_ref());
        if let Some(operations) = own {
            edit_headers(&mut edits, operations);
        }
        let mut per_destination = rule.route.iter().map(|route| {
            let mut edits = edits.clone();
            if let Some(operations) = route
                .headers
                .as_deref()
                .and_then(|headers| headers.request.as_ref())
            {
                edit_headers(&mut edits, operations);
            }
            edits
        });
        let first = per_destination.next().unwrap_or_else(|| edits.clone());
        per_destination.fold(first, one_or_the_other)
    }
}

/// What can be said where either may happen.
fn one_or_the_other(mut x: Edits, y: Edits) -> Edits {
    if x.host != y.host {
        x.host = Some(HeaderEdit::Opaque);
    }
    for name in y.headers.keys() {
        x.headers.entry(name.clone()).or_insert(HeaderEdit::Opaque);
    }
    for (name, edit) in &mut x.headers {
        if y.headers.get(name) != Some(&*edit) {
            *edit = HeaderEdit::Opaque;
        }
    }
    x
}

/// Removals come first, then `set`, then `add`.
fn edit_headers(edits: &mut Edits, operations: &model::virtual_service::HeaderOperations) {
    let mut edit = |name: &str, edit: HeaderEdit| {
        let name = name.to_lowercase();
        if name == "host" || name == ":authority" {
            // Beside a rewrite of the authority it is not clear which of them wins.
            edits.host = Some(if edits.host.is_some() {
                HeaderEdit::Opaque
            } else {
                edit
            });
        } else {
            edits.headers.insert(name, edit);
        }
    };
    for name in &operations.remove {
        edit(name, HeaderEdit::Removed);
    }
    for (name, text) in &operations.set {
        edit(name, value(text));
    }
    for name in operations.add.keys() {
        edit(name, HeaderEdit::Opaque);
    }
}

/// A value that is put in; Envoy fills in what stands between `%`.
fn value(text: &str) -> HeaderEdit {
    if text.is_empty() || text.contains('%') {
        HeaderEdit::Opaque
    } else {
        HeaderEdit::Set(text.to_owned())
    }
}

fn path_edit(wanted: &HttpMatchRequest, uri: &str) -> PathEdit {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~:@!$&'()+,=".contains(c);
    let dotted = path.split('/').any(|segment| segment == "." || segment == "..");
    if !path.starts_with('/') || dotted || path.contains("//") || !path.chars().all(plain) {
        return PathEdit::Opaque;
    }
    let to = path.to_owned();
    match &wanted.uri {
        _ if wanted.ignore_uri_case == Some(true) && matches!(wanted.uri, Some(StringMatch::Prefix(_))) => {
            PathEdit::Opaque
        }
        None | Some(StringMatch::Presence) => PathEdit::Start {
            from: "/".to_owned(),
            to,
        },
        Some(StringMatch::Prefix(from)) if from.starts_with('/') => PathEdit::Start {
            from: from.clone(),
            to,
        },
        Some(StringMatch::Prefix(_)) => PathEdit::Opaque,
        Some(StringMatch::Exact(_) | StringMatch::Regex(_)) => PathEdit::Whole(to),
    }
}

fn condition(wanted: &HttpMatchRequest) -> Condition {
    let mut rest = wanted.clone();
    let without = std::mem::take(&mut rest.without_headers);
    let mut complete = rest.scheme.take().is_none();
    complete &= rest.authority.take().is_none();
    complete &= std::mem::take(&mut rest.source_labels).is_empty();
    complete &= rest.source_namespace.take().is_none();
    if !matches!(rest.method, None | Some(StringMatch::Exact(_))) {
        rest.method = None;
        complete = false;
    }
    let found = virtual_service::request_matches(&rest).unwrap_or_default();
    let known = match <[RequestMatch; 1]>::try_from(found) {
        Ok([only]) => only,
        Err(_) => {
            complete = false;
            RequestMatch::any()
        }
    };
    // Where a route looks for such a name, it means something that only it can see.
    complete &= !known.headers.iter().any(|(name, _)| name.starts_with(['@', ':']));
    let inverted = HttpMatchRequest {
        headers: without,
        ..HttpMatchRequest::default()
    };
    let without = virtual_service::request_matches(&inverted).unwrap_or_default();
    let without = without
        .into_iter()
        .next()
        .map_or_else(Vec::new, |found| found.headers);
    Condition {
        known,
        without,
        complete,
        ports: wanted.port.map(|port| vec![port.0]),
    }
}
