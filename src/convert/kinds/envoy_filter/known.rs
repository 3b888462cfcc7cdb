//! What patches are known to be for, by the names that they contain.

use crate::code::Code;
use model::Node;

/// A use of EnvoyFilter: the names by which it is recognised, in lower case without underscores, and where.
struct Use {
    code: Code,
    /// In words, as the beginning of a message.
    what: &'static str,
    place: Place,
    names: &'static [&'static str],
}

/// Where in a patch a name stands.
#[derive(Clone, Copy)]
enum Place {
    /// In the name or the type of a filter or of another extension; a part of it suffices.
    Extension,
    /// As a key, whole.
    Key,
    /// As a key in a patch of a cluster, a listener or the TCP proxy.
    ConnectionKey,
    /// As a key in a patch of routes.
    RouteKey,
}

/// The uses, the more telling before the less: a patch counts as the first that fits.
const USES: &[Use] = &[
    Use {
        code: Code::EnvoyFilterTelemetry,
        what: "a patch of Istio's own metrics",
        place: Place::Extension,
        names: &[
            "istio.stats",
            "stats.outbound",
            "stats.inbound",
            "stackdriver",
            "metadataexchange",
            "accesslogpolicy",
        ],
    },
    Use {
        code: Code::EnvoyFilterRateLimit,
        what: "a rate limit",
        place: Place::Extension,
        names: &["ratelimit"],
    },
    Use {
        code: Code::EnvoyFilterRateLimit,
        what: "a rate limit",
        place: Place::Key,
        names: &["ratelimits", "ratelimitservice"],
    },
    Use {
        code: Code::EnvoyFilterAuthorizer,
        what: "a call to an external authorizer",
        place: Place::Extension,
        names: &["extauthz"],
    },
    Use {
        code: Code::EnvoyFilterTokens,
        what: "a verification of tokens",
        place: Place::Extension,
        names: &["jwtauthn", "filters.http.oauth2", "http.oauth2"],
    },
    Use {
        code: Code::EnvoyFilterLua,
        what: "a Lua script",
        place: Place::Extension,
        names: &["http.lua", "envoy.lua", "lua.v3", "lua.v2"],
    },
    Use {
        code: Code::EnvoyFilterLua,
        what: "a Lua script",
        place: Place::Key,
        names: &["inlinecode"],
    },
    Use {
        code: Code::EnvoyFilterWasm,
        what: "a Wasm plugin",
        place: Place::Extension,
        names: &["wasm"],
    },
    Use {
        code: Code::EnvoyFilterHeaders,
        what: "edits of headers",
        place: Place::Extension,
        names: &["headermutation", "headertometadata"],
    },
    Use {
        code: Code::EnvoyFilterHeaders,
        what: "edits of headers",
        place: Place::Key,
        names: &[
            "requestheaderstoadd",
            "requestheaderstoremove",
            "responseheaderstoadd",
            "responseheaderstoremove",
            "serverheadertransformation",
        ],
    },
    Use {
        code: Code::EnvoyFilterAccessLog,
        what: "an access log",
        place: Place::Key,
        names: &["accesslog", "accesslogoptions"],
    },
    Use {
        code: Code::EnvoyFilterRoutes,
        what: "a fault or a CORS filter",
        place: Place::Extension,
        names: &["http.fault", "http.cors"],
    },
    Use {
        code: Code::EnvoyFilterRoutes,
        what: "settings of routes",
        place: Place::RouteKey,
        names: &[
            "timeout",
            "idletimeout",
            "retrypolicy",
            "cors",
            "hostrewriteliteral",
            "prefixrewrite",
            "maxstreamduration",
            "requestmirrorpolicies",
            "hashpolicy",
        ],
    },
    Use {
        code: Code::EnvoyFilterConnections,
        what: "settings of connections",
        place: Place::ConnectionKey,
        names: &[
            "tcpkeepalive",
            "upstreamconnectionoptions",
            "socketoptions",
            "connecttimeout",
            "idletimeout",
            "http2protocoloptions",
            "commonhttpprotocoloptions",
            "typedextensionprotocoloptions",
            "circuitbreakers",
            "outlierdetection",
            "lbpolicy",
            "maxrequestsperconnection",
            "perconnectionbufferlimitbytes",
            "maxconnectattempts",
            "upstreamhttpprotocoloptions",
        ],
    },
];

/// What a patch is for, with words for it; what is not known is named by what it patches.
pub fn recognise(patch: &Node) -> (Code, String) {
    let applies_to = patch.get("applyTo").and_then(Node::as_str).unwrap_or_default();
    let signals = Signals::of(patch);
    let fits = |known: &&Use| match known.place {
        Place::Extension => known
            .names
            .iter()
            .any(|name| signals.extensions.iter().any(|found| found.contains(name))),
        Place::Key => signals.has_key(known.names),
        Place::ConnectionKey => {
            let tcp = signals.extensions.iter().any(|found| found.contains("tcpproxy"));
            (matches!(applies_to, "CLUSTER" | "LISTENER" | "FILTER_CHAIN") || tcp)
                && signals.has_key(known.names)
        }
        Place::RouteKey => {
            matches!(applies_to, "HTTP_ROUTE" | "VIRTUAL_HOST" | "ROUTE_CONFIGURATION")
                && signals.has_key(known.names)
        }
    };
    match USES.iter().find(fits) {
        Some(known) => (known.code, known.what.to_owned()),
        None => {
            let name = patch.at(&["patch", "value", "name"]).and_then(Node::as_str);
            let what = match name {
                Some(name) => {
                    format!("a patch of {applies_to} with `{name}`, for which no successor is known")
                }
                None => format!("a patch of {applies_to}, for which no successor is known"),
            };
            (Code::EnvoyFilterKept, what)
        }
    }
}

/// The names in a patch, in lower case without underscores.
#[derive(Default)]
struct Signals {
    /// Names and types of filters and other extensions.
    extensions: Vec<String>,
    keys: Vec<String>,
}

impl Signals {
    fn of(patch: &Node) -> Self {
        let mut signals = Self::default();
        if let Some(value) = patch.at(&["patch", "value"]) {
            signals.collect(value);
        }
        // What is merged into or removed is named where it is matched.
        let operation = patch.at(&["patch", "operation"]).and_then(Node::as_str);
        if matches!(operation, Some("REMOVE" | "MERGE" | "REPLACE")) {
            let filter = patch.at(&["match", "listener", "filterChain", "filter"]);
            for node in [filter, filter.and_then(|node| node.get("subFilter"))]
                .into_iter()
                .flatten()
            {
                signals
                    .extensions
                    .extend(node.get("name").and_then(Node::as_str).map(plain));
            }
        }
        signals
    }

    fn collect(&mut self, node: &Node) {
        for entry in node.entries() {
            let is_name = matches!(&*entry.key, "name" | "@type" | "type_url" | "typeUrl");
            match entry.node.as_str() {
                Some(value) if is_name => self.extensions.push(plain(value)),
                _ => self.keys.push(plain(&entry.key)),
            }
            self.collect(&entry.node);
        }
        for item in node.items() {
            self.collect(item);
        }
    }

    fn has_key(&self, names: &[&str]) -> bool {
        self.keys.iter().any(|key| names.contains(&key.as_str()))
    }
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace('_', "")
}
