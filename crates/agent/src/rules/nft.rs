//! The rules of a pod as text for `nft -f -`.

use super::{
    CONNECTION_MARK, DNS_PORT, HBONE_PORT, INBOUND_PORT, MARK_MASK, OUTBOUND_PORT, PROXY_MARK, PodRules,
};

/// The tables of a pod, all of family `inet`.
const TABLES: [&str; 3] = ["istio-ambient-nat", "istio-ambient-mangle", "istio-ambient-raw"];

/// Replaces the tables by those of `rules`, in one transaction: there is no moment without rules.
pub fn install(rules: &PodRules) -> String {
    let mut text = remove();
    text.push_str(&table(
        TABLES[0],
        [("nat", -100), ("nat", -100)],
        &prerouting(rules),
        &output(rules),
    ));
    let proxy = format!("meta mark & {MARK_MASK:#x} == {PROXY_MARK:#x}");
    let kept = !MARK_MASK;
    let remember = format!("{proxy} counter ct mark set ct mark & {kept:#x} | {CONNECTION_MARK:#x}");
    let restore = format!("ct mark & {MARK_MASK:#x} == {CONNECTION_MARK:#x} counter meta mark set ct mark");
    text.push_str(&table(
        TABLES[1],
        [("filter", -150), ("route", -150)],
        &[remember],
        &[restore],
    ));
    if rules.dns {
        // Queries of the proxy and of the application share ports and addresses: two zones keep them apart.
        let answers = format!("udp sport 53 {} counter ct zone set 1", not_proxy());
        let queries = format!("udp dport 53 {proxy} counter ct zone set 1");
        text.push_str(&table(
            TABLES[2],
            [("filter", -300), ("filter", -300)],
            &[answers],
            &[queries],
        ));
    }
    text
}

/// Removes the tables, also if they are not there.
pub fn remove() -> String {
    TABLES
        .iter()
        .map(|table| format!("add table inet {table}\ndelete table inet {table}\n"))
        .collect()
}

fn table(name: &str, hooks: [(&str, i16); 2], prerouting: &[String], output: &[String]) -> String {
    let [(before, before_priority), (out, out_priority)] = hooks;
    let block = |name: &str, rules: &[String]| {
        let lines: String = rules.iter().map(|rule| format!("\t\t{rule}\n")).collect();
        format!("\tchain {name} {{\n{lines}\t}}\n")
    };
    let base = |name: &str, kind: &str, priority: i16| {
        let hook = format!("type {kind} hook {name} priority {priority}; policy accept;");
        block(name, &[hook, format!("jump istio-{name}")])
    };
    format!(
        "table inet {name} {{\n{}{}{}{}}}\n",
        block("istio-prerouting", prerouting),
        block("istio-output", output),
        base("prerouting", before, before_priority),
        base("output", out, out_priority),
    )
}

fn not_proxy() -> String {
    format!("meta mark & {MARK_MASK:#x} != {PROXY_MARK:#x}")
}

/// The address families of the pod: keyword, loopback address, address of probes.
fn families(rules: &PodRules) -> Vec<(&'static str, &'static str, String)> {
    let mut families = vec![("ip", "127.0.0.1", rules.probes.v4.to_string())];
    if rules.ipv6 {
        families.push(("ip6", "::1", rules.probes.v6.to_string()));
    }
    families
}

fn prerouting(rules: &PodRules) -> Vec<String> {
    let mut chain = Vec::new();
    for name in &rules.interfaces {
        let from = format!("iifname \"{name}\" meta l4proto tcp counter");
        chain.extend([
            format!("{from} redirect to :{OUTBOUND_PORT}"),
            format!("{from} return"),
        ]);
    }
    if !rules.inbound {
        return chain;
    }
    for (family, _, probes) in families(rules) {
        chain.push(format!("meta l4proto tcp {family} saddr {probes} counter accept"));
    }
    let not_proxy = not_proxy();
    for (family, loopback, _) in families(rules) {
        let inbound = format!("{family} daddr != {loopback} tcp dport != {HBONE_PORT} {not_proxy}");
        chain.push(format!("{inbound} counter redirect to :{INBOUND_PORT}"));
    }
    chain
}

fn output(rules: &PodRules) -> Vec<String> {
    let (families, not_proxy) = (families(rules), not_proxy());
    let mut chain = Vec::new();
    for (family, _, probes) in &families {
        chain.push(format!("meta l4proto tcp {family} daddr {probes} counter accept"));
    }
    if rules.dns {
        let to_proxy = format!("{not_proxy} counter redirect to :{DNS_PORT}");
        if rules.ipv6 {
            chain.push(format!("oifname != \"lo\" udp dport 53 {to_proxy}"));
        } else {
            chain.push(format!(
                "meta nfproto ipv4 oifname != \"lo\" udp dport 53 {to_proxy}"
            ));
        }
        for (family, loopback, _) in &families {
            chain.push(format!("{family} daddr != {loopback} tcp dport 53 {to_proxy}"));
        }
    }
    chain.push(format!(
        "meta l4proto tcp meta mark & {MARK_MASK:#x} == {CONNECTION_MARK:#x} counter accept"
    ));
    for (family, loopback, _) in &families {
        chain.push(format!(
            "oifname \"lo\" {family} daddr != {loopback} counter accept"
        ));
    }
    for (family, loopback, _) in &families {
        let outbound = format!("meta l4proto tcp {family} daddr != {loopback} {not_proxy}");
        chain.push(format!("{outbound} counter redirect to :{OUTBOUND_PORT}"));
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::super::tests::variants;
    use super::*;

    #[test]
    fn golden_texts_of_all_variants() {
        for (name, rules) in variants() {
            insta::assert_snapshot!(format!("nft_{name}"), install(&rules));
        }
    }
}
