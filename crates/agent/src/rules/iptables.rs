//! The rules of a pod as text for `iptables-restore --noflush`.

use super::{
    CONNECTION_MARK, DNS_PORT, HBONE_PORT, INBOUND_PORT, MARK_MASK, OUTBOUND_PORT, PROXY_MARK, PodRules,
};

/// IPv4 or IPv6: the two have programs and tables of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.1/32",
            Self::V6 => "::1/128",
        }
    }
}

const PREROUTING: &str = "ISTIO_PRERT";
const OUTPUT: &str = "ISTIO_OUTPUT";
const TABLES: [&str; 3] = ["mangle", "nat", "raw"];
/// The chains that jump to ours.
const JUMPS: [(&str, &str); 2] = [("PREROUTING", PREROUTING), ("OUTPUT", OUTPUT)];

/// One table: its name, and the rules of our two chains.
struct Table {
    name: &'static str,
    prerouting: Vec<String>,
    output: Vec<String>,
}

/// Replaces the rules of our chains, given what `iptables-save` printed before. Each table changes at once: there is no
/// moment without rules. Rules of others stay.
pub fn install(rules: &PodRules, family: Family, saved: &str) -> String {
    let mut wanted = vec![mangle(), nat(rules, family)];
    if rules.dns {
        wanted.push(raw());
    }
    let mut text = String::new();
    for table in &wanted {
        let jumps: String = JUMPS
            .iter()
            .map(|(chain, target)| format!("-A {chain} -j {target}\n"))
            .filter(|jump| !has(saved, table.name, jump.trim_end()))
            .collect();
        // Declaring a chain empties it, within the same transaction.
        let declared = format!(":{PREROUTING} - [0:0]\n:{OUTPUT} - [0:0]\n");
        let prerouting = append(PREROUTING, &table.prerouting);
        let output = append(OUTPUT, &table.output);
        text.push_str(&format!(
            "*{}\n{declared}{prerouting}{output}{jumps}COMMIT\n",
            table.name
        ));
    }
    if !rules.dns {
        text.push_str(&remove_from("raw", saved));
    }
    text
}

/// Removes what of our rules `saved` shows. Empty if there are none.
pub fn remove(saved: &str) -> String {
    TABLES.iter().map(|table| remove_from(table, saved)).collect()
}

fn remove_from(table: &str, saved: &str) -> String {
    let mut lines = String::new();
    let jumps = |rule: &&str| {
        JUMPS
            .iter()
            .any(|(_, target)| rule.ends_with(&format!("-j {target}")))
    };
    for rule in section(saved, table)
        .filter_map(|line| line.strip_prefix("-A "))
        .filter(jumps)
    {
        lines.push_str(&format!("-D {rule}\n"));
    }
    for chain in [PREROUTING, OUTPUT] {
        if section(saved, table).any(|line| line.starts_with(&format!(":{chain} "))) {
            lines.push_str(&format!("-F {chain}\n-X {chain}\n"));
        }
    }
    if lines.is_empty() {
        lines
    } else {
        format!("*{table}\n{lines}COMMIT\n")
    }
}

/// The lines of one table in the output of `iptables-save`.
fn section<'a>(saved: &'a str, table: &str) -> impl Iterator<Item = &'a str> {
    let head = format!("*{table}");
    saved
        .lines()
        .skip_while(move |line| *line != head)
        .skip(1)
        .take_while(|line| *line != "COMMIT")
}

fn has(saved: &str, table: &str, rule: &str) -> bool {
    section(saved, table).any(|line| line == rule)
}

fn append(chain: &str, rules: &[String]) -> String {
    rules.iter().map(|rule| format!("-A {chain} {rule}\n")).collect()
}

fn marked(mark: u32) -> String {
    format!("-m mark --mark {mark:#x}/{MARK_MASK:#x}")
}

fn not_proxy() -> String {
    format!("-m mark ! --mark {PROXY_MARK:#x}/{MARK_MASK:#x}")
}

fn mangle() -> Table {
    let connection = format!("{CONNECTION_MARK:#x}/{MARK_MASK:#x}");
    let restore = "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff";
    Table {
        name: "mangle",
        prerouting: vec![format!(
            "{} -j CONNMARK --set-xmark {connection}",
            marked(PROXY_MARK)
        )],
        output: vec![format!("-m connmark --mark {connection} {restore}")],
    }
}

fn nat(rules: &PodRules, family: Family) -> Table {
    let (loopback, not_proxy) = (family.loopback(), not_proxy());
    let probes = match family {
        Family::V4 => rules.probes.v4.to_string(),
        Family::V6 => rules.probes.v6.to_string(),
    };
    let mut prerouting = Vec::new();
    for name in &rules.interfaces {
        prerouting.push(format!("-i {name} -p tcp -j REDIRECT --to-ports {OUTBOUND_PORT}"));
        prerouting.push(format!("-i {name} -p tcp -j RETURN"));
    }
    if rules.inbound {
        let inbound = format!("! -d {loopback} -p tcp -m tcp ! --dport {HBONE_PORT} {not_proxy}");
        prerouting.push(format!("-s {probes} -p tcp -m tcp -j ACCEPT"));
        prerouting.push(format!("{inbound} -j REDIRECT --to-ports {INBOUND_PORT}"));
    }
    let mut output = vec![format!("-d {probes} -p tcp -m tcp -j ACCEPT")];
    if rules.dns {
        let to_proxy = format!("{not_proxy} -j REDIRECT --to-ports {DNS_PORT}");
        output.push(format!("! -o lo -p udp -m udp --dport 53 {to_proxy}"));
        output.push(format!("! -d {loopback} -p tcp -m tcp --dport 53 {to_proxy}"));
    }
    output.push(format!("-p tcp {} -j ACCEPT", marked(CONNECTION_MARK)));
    output.push(format!("! -d {loopback} -o lo -j ACCEPT"));
    output.push(format!(
        "! -d {loopback} -p tcp {not_proxy} -j REDIRECT --to-ports {OUTBOUND_PORT}"
    ));
    Table {
        name: "nat",
        prerouting,
        output,
    }
}

fn raw() -> Table {
    // Queries of the proxy and of the application share ports and addresses: two zones keep them apart.
    Table {
        name: "raw",
        prerouting: vec![format!("-p udp -m udp --sport 53 {} -j CT --zone 1", not_proxy())],
        output: vec![format!(
            "-p udp -m udp --dport 53 {} -j CT --zone 1",
            marked(PROXY_MARK)
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::variants;
    use super::*;

    #[test]
    fn golden_texts_of_all_variants() {
        for (name, rules) in variants() {
            insta::assert_snapshot!(format!("iptables_{name}"), install(&rules, Family::V4, ""));
        }
        let (_, plain) = variants().remove(0);
        insta::assert_snapshot!("ip6tables_plain", install(&plain, Family::V6, ""));
    }

    const SAVED: &str = "# comment\n*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:ISTIO_OUTPUT - [0:0]\n\
        :ISTIO_PRERT - [0:0]\n-A PREROUTING -j ISTIO_PRERT\n-A OUTPUT -d 10.0.0.1/32 -j ACCEPT\n\
        -A OUTPUT -j ISTIO_OUTPUT\n-A ISTIO_OUTPUT -p tcp -j REDIRECT --to-ports 15001\nCOMMIT\n\
        *filter\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";

    #[test]
    fn only_what_is_ours_is_removed() {
        let expected = "*nat\n-D PREROUTING -j ISTIO_PRERT\n-D OUTPUT -j ISTIO_OUTPUT\n-F ISTIO_PRERT\n-X ISTIO_PRERT\n\
            -F ISTIO_OUTPUT\n-X ISTIO_OUTPUT\nCOMMIT\n";
        assert_eq!(remove(SAVED), expected);
        assert_eq!(remove("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"), "");
    }

    #[test]
    fn jumps_are_not_doubled() {
        let (_, plain) = variants().remove(0);
        let text = install(&plain, Family::V4, SAVED);
        let nat = text.split("COMMIT").find(|table| table.contains("*nat")).unwrap();
        assert!(
            !nat.contains("-A OUTPUT") && !nat.contains("-A PREROUTING"),
            "{nat}"
        );
        assert_eq!(text.matches("-A OUTPUT -j ISTIO_OUTPUT").count(), 2);
    }
}
