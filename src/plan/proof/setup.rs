//! What has to be known before the first state is judged: everything that will ever be there.

use super::objects::{Labels, Name};
use super::policies::Policies;
use super::script::Change;
use super::server::{Pool, Server, all_labels};
use super::world::World;
use model::Mesh;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const USE_WAYPOINT: &str = "istio.io/use-waypoint";
const WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

/// The servers of a world, by their place in it, with the witnesses that all these changes call for.
pub fn servers<'a>(
    mesh: &Mesh,
    world: &World,
    changes: impl Iterator<Item = &'a Change> + Clone,
) -> Vec<Option<Server>> {
    let mut policies = Policies::default();
    let mut labels: HashMap<usize, Labels> = (0..world.pods.len())
        .map(|workload| (workload, all_labels(world, workload)))
        .collect();
    let mut issuers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut waypoints = Waypoints::new(world);
    for change in changes {
        match change {
            Change::Policy(_, Some(policy)) => policies.add(policy.clone(), &world.root),
            Change::Authentication(name, Some(found)) => {
                let known = issuers.entry(name.0.clone()).or_default();
                known.extend(found.issuers.keys().cloned());
            }
            Change::Service(name, labels) => waypoints.of_service(name, labels),
            Change::Namespace(name, labels) => waypoints.of_namespace(name, labels),
            Change::Template(kind, name, added, _) => {
                let workload = world.workload(kind, name);
                if let Some(known) = workload.and_then(|workload| labels.get_mut(&workload)) {
                    known.extend(added.clone());
                }
            }
            _ => {}
        }
    }
    let pool = Pool {
        policies: &policies,
        labels: &labels,
        waypoints: &waypoints.found,
        issuers: &issuers,
    };
    (0..world.sites.len())
        .into_par_iter()
        .map(|site| Server::new(site, mesh, world, &pool))
        .collect()
}

/// The waypoints that Services will ever name.
struct Waypoints<'a> {
    world: &'a World,
    by_name: HashMap<&'a Name, usize>,
    by_namespace: HashMap<&'a str, Vec<usize>>,
    found: BTreeMap<usize, BTreeSet<Name>>,
}

impl<'a> Waypoints<'a> {
    fn new(world: &'a World) -> Self {
        let mut waypoints = Self {
            world,
            by_name: HashMap::new(),
            by_namespace: HashMap::new(),
            found: BTreeMap::new(),
        };
        for (index, site) in world.sites.iter().enumerate() {
            waypoints.by_name.insert(&site.id, index);
            waypoints.by_namespace.entry(&site.id.0).or_default().push(index);
            let named = world.named_waypoint(site);
            waypoints.found.entry(index).or_default().extend(named);
        }
        waypoints
    }

    fn of_service(&mut self, name: &Name, labels: &BTreeMap<String, Option<String>>) {
        if let Some(&site) = self.by_name.get(name) {
            self.add(site, labels);
        }
    }

    fn of_namespace(&mut self, name: &str, labels: &BTreeMap<String, Option<String>>) {
        for site in self.by_namespace.get(name).cloned().unwrap_or_default() {
            self.add(site, labels);
        }
    }

    fn add(&mut self, index: usize, labels: &BTreeMap<String, Option<String>>) {
        let Some(site) = self.world.sites.get(index) else {
            return;
        };
        let written = |key: &str| labels.get(key).cloned().flatten();
        let name = written(USE_WAYPOINT).or_else(|| site.labels.get(USE_WAYPOINT).cloned());
        let namespace = written(WAYPOINT_NAMESPACE).or_else(|| site.labels.get(WAYPOINT_NAMESPACE).cloned());
        let own = site.id.0.clone();
        if let Some(name) = name.filter(|name| name != "none") {
            let waypoint = (namespace.unwrap_or(own), name);
            self.found.entry(index).or_default().insert(waypoint);
        }
    }
}
