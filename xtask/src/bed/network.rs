//! The bridge, the nodes' network namespaces, and the wires between them.
//!
//! Every address translation and every firewall rule lives in a node's namespace; the machine's own has the
//! bridge and routes over it, which vanish with it.

use super::shell::{output, run, words};
use bed::layout::{BRIDGE, CONTROL_PLANE, Node, PREFIX_LENGTH, SERVICE_NETWORK};
use miette::Result;

/// Makes the bridge and one namespace for each node.
pub fn make(nodes: u8) -> Result<()> {
    run(&mut words(&format!("ip link add {BRIDGE} type bridge")))?;
    run(&mut words(&format!(
        "ip address add {CONTROL_PLANE}/{PREFIX_LENGTH} dev {BRIDGE}"
    )))?;
    run(&mut words(&format!("ip link set {BRIDGE} up")))?;
    for node in Node::first(nodes) {
        make_node(node)?;
    }
    for node in Node::first(nodes) {
        let (pods, via) = (node.pod_network(), node.address());
        run(&mut words(&format!("ip route add {pods} via {via}")))?;
        for other in Node::first(nodes).filter(|other| *other != node) {
            let route = format!("ip route add {pods} via {via}");
            run(&mut words(&format!(
                "ip -n {} {}",
                other.network_namespace(),
                &route[3..]
            )))?;
        }
    }
    // The first node's kube-proxy also serves Services to the machine itself.
    for node in Node::first(1) {
        run(&mut words(&format!(
            "ip route add {SERVICE_NETWORK} via {}",
            node.address()
        )))?;
    }
    Ok(())
}

/// Takes all of it away, as far as it is there.
pub fn remove() -> Result<()> {
    for node in Node::first(Node::MOST) {
        let namespace = node.network_namespace();
        if std::path::Path::new("/run/netns").join(&namespace).exists() {
            run(&mut words(&format!("ip netns delete {namespace}")))?;
        }
        // A wire goes with its other end, but only a moment later.
        output(&mut words(&format!("ip link delete {}", node.wire())))?;
    }
    output(&mut words(&format!("ip link delete {BRIDGE}")))?;
    Ok(())
}

fn make_node(node: Node) -> Result<()> {
    let (namespace, wire, address) = (node.network_namespace(), node.wire(), node.address());
    for line in [
        format!("ip netns add {namespace}"),
        format!("ip link add {wire} type veth peer name eth0 netns {namespace}"),
        format!("ip link set {wire} master {BRIDGE} up"),
        format!("ip -n {namespace} link set lo up"),
        format!("ip -n {namespace} address add {address}/{PREFIX_LENGTH} dev eth0"),
        format!("ip -n {namespace} link set eth0 up"),
        format!("ip -n {namespace} route add default via {CONTROL_PLANE}"),
        format!(
            "ip netns exec {namespace} sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1"
        ),
    ] {
        run(&mut words(&line))?;
    }
    Ok(())
}
