//! What was found, in words.

use super::clients::{Class, Kind, Members};
use super::compare::{Known, Otherwise, Verdict, Way};
use super::server::Server;
use super::witness::Request;
use std::fmt::Write;

/// A sentence about requests that are decided otherwise. `when` says in which state.
pub fn sentence(server: &Server, before: &[Known], found: &Otherwise, when: &str) -> String {
    let Some((pair, request)) = server.point(found.point) else {
        return String::new();
    };
    let who = server
        .classes
        .get(found.class)
        .map_or_else(String::new, |class| client(class, found));
    let was = before
        .get(found.class)
        .map_or("undecided", |known| was(known, found.point));
    let now = match found.now {
        Verdict::Allowed => "allowed",
        Verdict::Refused => "refused",
        Verdict::Asked => "asked of a provider",
    };
    let what = if pair.http {
        words(request)
    } else {
        address("a connection", request)
    };
    let mut text = format!(
        "{what} from {who} to {}/{} port {} was {was}, becomes {now} {when}",
        server.id.0, server.id.1, pair.port
    );
    if found.count > 1 {
        // Writing to a text cannot fail.
        let _ = write!(text, " ({} such requests)", found.count);
    }
    text
}

fn was(known: &Known, point: usize) -> &'static str {
    match (
        known.allowed.has(point),
        known.refused.has(point),
        known.asked.has(point),
    ) {
        (true, false, false) => "allowed",
        (false, true, false) => "refused",
        (false, false, true) => "asked of a provider",
        (true, true, false) => "allowed or refused",
        (true, false, true) => "allowed or asked of a provider",
        (false, true, true) => "refused or asked of a provider",
        (true, true, true) => "decided in every way",
        (false, false, false) => "undecided",
    }
}

fn client(class: &Class, found: &Otherwise) -> String {
    let way = match found.way {
        Way::Through => "through the waypoint",
        Way::Direct => "straight to the pods",
        Way::Lost => "into a tunnel that ends nowhere",
    };
    let kind = match found.kind {
        Kind::Sidecar => "with a sidecar",
        Kind::Ambient => "in ambient mode",
        Kind::Gateway => "a gateway",
        Kind::Outside => return format!("outside of the mesh ({way})"),
    };
    let principal = class.principal.as_deref().unwrap_or_default();
    let others = match &class.members {
        Members::AllBut(members) if !members.is_empty() => ", whom no policy names",
        _ => "",
    };
    format!("{principal} ({kind}{others}, {way})")
}

/// The request, as far as it is not the plainest one.
fn words(request: &Request) -> String {
    let mut text = format!("{} {}", request.method, request.path);
    let mut details: Vec<String> = Vec::new();
    details.extend(request.host.as_ref().map(|host| format!("host {host}")));
    details.extend(
        request
            .headers
            .iter()
            .map(|(name, value)| format!("header {name}: {value}")),
    );
    details.extend(request.token.as_ref().map(|token| format!("a token of {token}")));
    details.extend(
        request
            .attributes
            .iter()
            .map(|(key, value)| format!("{key} = {value}")),
    );
    if !details.is_empty() {
        let _ = write!(text, " with {}", details.join(", "));
    }
    address(&text, request)
}

fn address(what: &str, request: &Request) -> String {
    let plain = Request::default();
    let mut text = what.to_owned();
    if request.source != plain.source {
        let _ = write!(text, ", sent by {}", request.source);
    }
    if let Some(remote) = request.remote {
        let _ = write!(text, ", forwarded for {remote}");
    }
    text
}
