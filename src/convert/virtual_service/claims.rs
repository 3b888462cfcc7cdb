//! Which VirtualServices name a host, and which of them counts there.
//!
//! A sidecar takes the object with the most specific host, and of several the first in istiod's order. A waypoint
//! tries the rules of all that lie in its own namespace or the Service's, one after the other. Source:
//! istio/istio:pilot/pkg/networking/core/{httproute,listener_waypoint}.go, pilot/pkg/model/push_context.go.

use super::visibility::Visibility;
use foldhash::{HashMap, HashSet};
use model::Mesh;
use model::meta::Object;
use model::settings::MeshSettings;
use model::virtual_service::{HttpMatchRequest, HttpRoute, VirtualService, is_for_mesh};
use semantics::predicate::RequestMatch;
use semantics::virtual_service::request_matches;

/// An object by its place in `Mesh::virtual_services`.
pub type Index = usize;

/// Who names which host, for HTTP and for TCP and TLS: rules of different layers do not meet.
#[derive(Debug, Default)]
pub struct Claims {
    http: Table,
    layer_4: Table,
}

/// What becomes of an object's rules for one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Sidecars take this object.
    Counts,
    /// Sidecars always take the other object.
    Dead(Index),
    /// It cannot be told, beside which other object, and why.
    Unknown(Index, &'static str),
}

#[derive(Debug, Default)]
struct Table {
    exact: HashMap<String, Level>,
    /// By what follows the asterisk.
    patterns: HashMap<String, Level>,
    /// Patterns whose asterisk stands for a part of a label.
    inner: Vec<String>,
}

/// The objects that name the same host or pattern, in the order of the mesh, so by namespace first.
#[derive(Debug)]
struct Level {
    objects: Vec<Index>,
    /// The object that sidecars take, or why that is not known.
    first: Result<Index, &'static str>,
    /// Whether some object is seen by every client and has rules for every request's port.
    hides_others: bool,
}

impl Claims {
    /// Looks at all VirtualServices for sidecars; `qualify` completes short names.
    pub fn of(mesh: &Mesh, qualify: impl Fn(&str, &str) -> String) -> Self {
        let (mut http, mut layer_4) = (Builder::default(), Builder::default());
        for (index, object) in mesh.virtual_services.iter().enumerate() {
            let spec = &object.spec;
            if !spec.applies_to_mesh() || Visibility::of(object, &mesh.settings) == Visibility::Nobody {
                continue;
            }
            let hosts: HashSet<String> = spec
                .hosts
                .iter()
                .map(|h| qualify(h, object.namespace()))
                .collect();
            let has_layer_4 = !spec.tcp.is_empty() || !spec.tls.is_empty();
            if !has_layer_4 || spec.http.iter().any(counts_in_mesh) {
                http.insert(&hosts, index);
            }
            if has_layer_4 {
                layer_4.insert(&hosts, index);
            }
        }
        Self {
            http: http.finish(mesh, first_of_http),
            // The rules of several objects for TCP and TLS are joined, so none of them counts alone.
            layer_4: layer_4.finish(mesh, |_, _, objects| match objects {
                [only] => Ok(*only),
                _ => Err("connections meet the rules of both, one after the other"),
            }),
        }
    }

    /// All objects that name a host, the most specific first.
    pub fn all(&self, host: &str) -> Vec<Index> {
        let mut seen = HashSet::default();
        let levels = self.http.levels(host).chain(self.layer_4.levels(host));
        levels
            .flat_map(|level| &level.objects)
            .copied()
            .filter(|index| seen.insert(*index))
            .collect()
    }

    /// What becomes of an object's rules for a host that it names; `layer_4` for those for TCP and TLS.
    pub fn standing(&self, mesh: &Mesh, host: &str, index: Index, layer_4: bool) -> Standing {
        let table = if layer_4 { &self.layer_4 } else { &self.http };
        // The first level is that of the closest name.
        let Some(level) = table.levels(host).next() else {
            return Standing::Counts;
        };
        let other = level.objects.first().copied().unwrap_or(index);
        if level.objects.binary_search(&index).is_ok() {
            return match level.first {
                Ok(first) if first == index => Standing::Counts,
                // Rules of clients for themselves do not meet those of the Service's owner.
                _ if !is_rival(mesh, host, index) => Standing::Counts,
                Ok(first) => Standing::Dead(first),
                Err(why) => {
                    let other = level.objects.iter().copied().find(|o| *o != index);
                    Standing::Unknown(other.unwrap_or(index), why)
                }
            };
        }
        if layer_4 {
            return Standing::Unknown(other, "connections meet the rules of both, one after the other");
        }
        let closer = level.first.unwrap_or(other);
        if level.hides_others {
            Standing::Dead(closer)
        } else {
            Standing::Unknown(
                closer,
                "it names the host more closely, but not for every client and port",
            )
        }
    }

    /// Objects of the Service's namespace whose HTTP rules a waypoint tries beside those of `index`: of those that name
    /// the host equally closely the first.
    pub fn beside(&self, mesh: &Mesh, host: &str, namespace: &str, index: Index) -> Vec<Index> {
        let of = |i: &Index| mesh.virtual_services[*i].namespace();
        let in_level = |level: &Level| {
            let start = level.objects.partition_point(|i| of(i) < namespace);
            let here = level.objects[start..].iter().take_while(|i| of(i) == namespace);
            here.copied().find(|i| *i != index)
        };
        self.http.levels(host).filter_map(in_level).collect()
    }
}

#[derive(Default)]
struct Builder {
    exact: HashMap<String, Vec<Index>>,
    patterns: HashMap<String, Vec<Index>>,
}

impl Builder {
    fn insert(&mut self, hosts: &HashSet<String>, index: Index) {
        for host in hosts {
            let table = match host.strip_prefix('*') {
                Some(suffix) => self.patterns.entry(suffix.to_owned()),
                None => self.exact.entry(host.clone()),
            };
            table.or_default().push(index);
        }
    }

    fn finish(
        self,
        mesh: &Mesh,
        first: impl Fn(&Mesh, &str, &[Index]) -> Result<Index, &'static str>,
    ) -> Table {
        let levels = |hosts: HashMap<String, Vec<Index>>| {
            let level = |(host, objects): (String, Vec<Index>)| {
                let level = Level {
                    first: first(mesh, &host, &objects),
                    hides_others: objects.iter().any(|index| {
                        let object = &mesh.virtual_services[*index];
                        always_counts(&object.spec)
                            && Visibility::of(object, &mesh.settings) == Visibility::Everyone
                    }),
                    objects,
                };
                (host, level)
            };
            hosts.into_iter().map(level).collect::<HashMap<_, _>>()
        };
        let patterns = levels(self.patterns);
        let mut inner: Vec<String> = patterns
            .keys()
            .filter(|suffix| !suffix.is_empty() && !suffix.starts_with('.'))
            .cloned()
            .collect();
        inner.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Table {
            exact: levels(self.exact),
            patterns,
            inner,
        }
    }
}

impl Table {
    /// What names a host, the most specific first.
    fn levels<'t>(&'t self, host: &'t str) -> impl Iterator<Item = &'t Level> {
        let dots = host.match_indices('.').map(|(at, _)| &host[at..]);
        let mut suffixes: Vec<&str> = dots.chain([""]).collect();
        if !self.inner.is_empty() {
            suffixes.extend(
                self.inner
                    .iter()
                    .map(String::as_str)
                    .filter(|s| host.ends_with(s)),
            );
            suffixes.sort_by_key(|suffix| std::cmp::Reverse(suffix.len()));
        }
        let patterns = suffixes
            .into_iter()
            .filter_map(|suffix| self.patterns.get(suffix));
        let pattern = host
            .strip_prefix('*')
            .and_then(|suffix| self.patterns.get(suffix));
        let levels: Vec<&Level> = match pattern {
            Some(level) => vec![level],
            None => self.exact.get(host).into_iter().chain(patterns).collect(),
        };
        levels.into_iter()
    }
}

/// Of several objects for one host the first in istiod's order: what only some clients see comes before what all see,
/// then the older, then by name and namespace.
fn first_of_http(mesh: &Mesh, host: &str, objects: &[Index]) -> Result<Index, &'static str> {
    let of = |index: &Index| &mesh.virtual_services[*index];
    let rivals: Vec<Index> = objects
        .iter()
        .copied()
        .filter(|index| is_rival(mesh, host, *index))
        .collect();
    let rivals = if rivals.is_empty() { objects } else { &rivals };
    let [first, others @ ..] = rivals else {
        return Err("nobody names it");
    };
    if others.is_empty() {
        return Ok(*first);
    }
    let visibility = Visibility::of(of(first), &mesh.settings);
    if others
        .iter()
        .any(|other| Visibility::of(of(other), &mesh.settings) != visibility)
    {
        return Err("which of the two counts depends on the client, since not every client sees both");
    }
    if rivals
        .iter()
        .any(|index| of(index).meta.creation_timestamp.is_none())
    {
        return Err("the older counts, and the input does not say when they were created");
    }
    let order = |index: &&Index| {
        let object = of(index);
        (&object.meta.creation_timestamp, object.name(), object.namespace())
    };
    let first = *rivals.iter().min_by_key(order).unwrap_or(first);
    if always_counts(&of(&first).spec) {
        Ok(first)
    } else {
        Err("the older has rules for some ports or clients only, and where it has none, the other counts")
    }
}

/// Whether an object meets the others at one client: rules that clients of another namespace made for themselves come
/// first there, and are unknown everywhere else.
fn is_rival(mesh: &Mesh, host: &str, index: Index) -> bool {
    let object = &mesh.virtual_services[index];
    Visibility::of(object, &mesh.settings) == Visibility::Everyone
        || namespace_of(host, &mesh.settings).is_none_or(|owner| owner == object.namespace())
}

/// The namespace in the whole name of a Service.
fn namespace_of<'h>(host: &'h str, settings: &MeshSettings) -> Option<&'h str> {
    let name = host
        .strip_suffix(&settings.cluster_domain)?
        .strip_suffix(".svc.")?;
    name.split_once('.').map(|(_, namespace)| namespace)
}

/// Whether a rule can hold at a sidecar at all.
fn counts_in_mesh(rule: &HttpRoute) -> bool {
    rule.matches.is_empty() || rule.matches.iter().any(|m| is_for_mesh(&m.gateways))
}

/// Whether an object has rules at every port and for every client; where it has none, it does not count.
fn always_counts(spec: &VirtualService) -> bool {
    spec.http
        .iter()
        .filter(|rule| rule.delegate.is_none())
        .any(|rule| rule.matches.is_empty() || rule.matches.iter().any(is_for_every_client))
}

fn is_for_every_client(wanted: &HttpMatchRequest) -> bool {
    wanted.port.is_none()
        && wanted.source_labels.is_empty()
        && wanted.source_namespace.is_none()
        && is_for_mesh(&wanted.gateways)
}

/// Whether an object's rules take every request, so that no rule of another object is ever tried behind them.
pub fn takes_everything(object: &Object<VirtualService>) -> bool {
    object.spec.http.iter().any(takes_every_request)
}

/// Whether a rule takes every request of every client.
pub fn takes_every_request(rule: &HttpRoute) -> bool {
    let is_any = |wanted: &HttpMatchRequest| {
        is_for_every_client(wanted)
            && request_matches(wanted).is_ok_and(|all| all.iter().any(RequestMatch::is_catch_all))
    };
    // Of a rule that delegates only what the delegate matches is left.
    rule.delegate.is_none() && (rule.matches.is_empty() || rule.matches.iter().any(is_any))
}
