use super::*;
use proptest::prelude::*;

const WEB: Peer<'static> = Peer {
    principal: "cluster.local/ns/shop/sa/web",
    namespace: "shop",
    service_account: "web",
};

fn from(peer: Option<Peer<'static>>) -> Connection<'static> {
    Connection {
        peer,
        source: "10.0.1.2".parse().unwrap(),
        destination: "10.0.2.3".parse().unwrap(),
        port: 8080,
    }
}

fn policy(action: Action, rules: Vec<Rule>) -> Policy {
    Policy {
        namespace: "shop".into(),
        name: "p".into(),
        scope: Scope::Namespace,
        action,
        rules,
        dry_run: false,
    }
}

fn rule(clauses: Vec<Vec<Match>>) -> Rule {
    let clauses = clauses.into_iter().map(|matches| Clause { matches }).collect();
    Rule { clauses }
}

fn exact(text: &str) -> Text {
    Text::Exact(text.into())
}

fn block(text: &str) -> Block {
    let (address, length) = text.split_once('/').unwrap();
    Block::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

fn any<T>(values: Vec<T>) -> Values<T> {
    Values {
        any: values,
        none: Vec::new(),
    }
}

fn none<T>(values: Vec<T>) -> Values<T> {
    Values {
        any: Vec::new(),
        none: values,
    }
}

fn principals(principals: Values<Text>) -> Match {
    Match {
        principals,
        ..Match::default()
    }
}

fn namespaces(namespaces: Values<Text>) -> Match {
    Match {
        namespaces,
        ..Match::default()
    }
}

fn accounts(service_accounts: Values<ServiceAccount>) -> Match {
    Match {
        service_accounts,
        ..Match::default()
    }
}

fn ports(destination_ports: Values<u16>) -> Match {
    Match {
        destination_ports,
        ..Match::default()
    }
}

#[test]
fn empty_lists_mean_different_things_on_each_level() {
    let yes = || ports(any(vec![8080]));
    let no = || ports(any(vec![1]));
    for (rules, matches, why) in [
        (vec![], false, "a policy without rules matches nothing"),
        (
            vec![rule(vec![])],
            true,
            "a rule without clauses matches everything",
        ),
        (vec![rule(vec![vec![]])], true, "a clause without matches is true"),
        (
            vec![rule(vec![vec![Match::default()]])],
            false,
            "an empty match never matches",
        ),
        (
            vec![rule(vec![vec![Match::default(), yes()]])],
            true,
            "matches are alternatives",
        ),
        (
            vec![rule(vec![vec![no(), yes()]])],
            true,
            "matches are alternatives",
        ),
        (
            vec![rule(vec![vec![yes()], vec![no()]])],
            false,
            "clauses are joined by AND",
        ),
        (
            vec![rule(vec![vec![yes()], vec![Match::default()]])],
            false,
            "a dead clause kills its rule",
        ),
        (
            vec![rule(vec![vec![yes()], vec![]])],
            true,
            "an empty clause does not",
        ),
        (
            vec![rule(vec![vec![no()]]), rule(vec![vec![yes()]])],
            true,
            "rules are alternatives",
        ),
    ] {
        let policy = policy(Action::Deny, rules);
        assert_eq!(policy.matches(&from(Some(WEB))), matches, "{why}");
    }
}

#[test]
fn attributes_match_with_and_without_an_identity() {
    let web = || ServiceAccount {
        namespace: "shop".into(),
        name: "web".into(),
    };
    let other = || ServiceAccount {
        namespace: "shop".into(),
        name: "other".into(),
    };
    for (attributes, with, without) in [
        (principals(any(vec![exact(WEB.principal)])), true, false),
        (
            principals(any(vec![exact("spiffe://cluster.local/ns/shop/sa/web")])),
            false,
            false,
        ),
        (
            principals(any(vec![Text::Prefix("cluster.local/ns/shop/".into())])),
            true,
            false,
        ),
        (principals(any(vec![Text::Suffix("/sa/web".into())])), true, false),
        (principals(any(vec![Text::Present])), true, false),
        (principals(any(vec![exact("a"), Text::Present])), true, false),
        (principals(none(vec![Text::Present])), false, true),
        (principals(none(vec![exact("a")])), true, true),
        (namespaces(any(vec![exact("shop")])), true, false),
        (namespaces(any(vec![Text::Present])), true, false),
        (namespaces(any(vec![exact("")])), false, true),
        (namespaces(none(vec![exact("shop")])), false, true),
        (namespaces(none(vec![Text::Present])), false, true),
        (accounts(any(vec![web()])), true, false),
        (accounts(any(vec![other()])), false, false),
        (accounts(none(vec![web()])), false, true),
        (accounts(none(vec![other()])), true, true),
    ] {
        let policy = policy(Action::Deny, vec![rule(vec![vec![attributes]])]);
        let found = (policy.matches(&from(Some(WEB))), policy.matches(&from(None)));
        assert_eq!(found, (with, without), "{policy:?}");
    }
}

#[test]
fn addresses_and_ports_match() {
    let sources = |source_ips| Match {
        source_ips,
        ..Match::default()
    };
    let destinations = |destination_ips| Match {
        destination_ips,
        ..Match::default()
    };
    for (attributes, matches) in [
        (sources(any(vec![block("10.0.1.0/24")])), true),
        (sources(any(vec![block("10.0.1.2/32")])), true),
        (sources(any(vec![block("10.0.1.3/32")])), false),
        (sources(any(vec![block("0.0.0.0/0")])), true),
        (sources(any(vec![block("::/0")])), false),
        (sources(none(vec![block("10.0.0.0/8")])), false),
        (sources(none(vec![block("192.168.0.0/16")])), true),
        (destinations(any(vec![block("10.0.2.0/24")])), true),
        (destinations(any(vec![block("10.0.1.0/24")])), false),
        (destinations(none(vec![block("10.0.2.3/32")])), false),
        (ports(any(vec![8080])), true),
        (ports(any(vec![80])), false),
        (ports(none(vec![8080])), false),
        (ports(none(vec![80])), true),
        // Attributes are joined by AND.
        (
            Match {
                destination_ports: any(vec![8080]),
                ..sources(any(vec![block("10.0.9.0/24")]))
            },
            false,
        ),
        // A value and its negation together: the negation wins.
        (
            ports(Values {
                any: vec![8080],
                none: vec![8080],
            }),
            false,
        ),
    ] {
        let policy = policy(Action::Allow, vec![rule(vec![vec![attributes]])]);
        assert_eq!(policy.matches(&from(None)), matches, "{policy:?}");
    }
}

#[test]
fn blocks_have_as_many_bits_as_their_addresses() {
    let (v4, v6) = ("10.0.0.0".parse().unwrap(), "fd00::".parse().unwrap());
    for (address, length, is_block) in [
        (v4, 0, true),
        (v4, 32, true),
        (v4, 33, false),
        (v6, 128, true),
        (v6, 129, false),
    ] {
        assert_eq!(
            Block::new(address, length).is_some(),
            is_block,
            "{address}/{length}"
        );
    }
    assert!(block("fd00::/8").contains("fdff::1".parse().unwrap()));
    assert!(!block("fd00::/8").contains("fe00::1".parse().unwrap()));
}

#[test]
fn deny_comes_first_and_dry_runs_count_for_nothing() {
    let everything = || vec![rule(vec![])];
    let dry = |policy: Policy| Policy {
        dry_run: true,
        ..policy
    };
    let allow = policy(Action::Allow, everything());
    let allow_nothing = policy(Action::Allow, vec![]);
    let deny = policy(Action::Deny, everything());
    let deny_nothing = policy(Action::Deny, vec![]);
    let dry_allow_nothing = dry(allow_nothing.clone());
    let dry_deny = dry(deny.clone());
    for (policies, verdict) in [
        (vec![], Verdict::Allowed),
        (vec![&allow], Verdict::Allowed),
        (vec![&allow_nothing], Verdict::NotAllowed),
        (vec![&allow_nothing, &allow], Verdict::Allowed),
        (vec![&deny], Verdict::DeniedBy(&deny)),
        (vec![&allow, &deny], Verdict::DeniedBy(&deny)),
        (vec![&deny_nothing], Verdict::Allowed),
        (vec![&dry_deny], Verdict::Allowed),
        (vec![&dry_allow_nothing], Verdict::Allowed),
        (
            vec![&dry_deny, &dry_allow_nothing, &allow_nothing],
            Verdict::NotAllowed,
        ),
    ] {
        assert_eq!(
            decide(policies.iter().copied(), &from(Some(WEB))),
            verdict,
            "{policies:?}"
        );
    }
}

#[test]
fn strict_peer_authentication_refuses_only_those_without_identity() {
    let strict = policy(
        Action::Deny,
        vec![rule(vec![vec![principals(none(vec![Text::Present]))]])],
    );
    let except_port = policy(
        Action::Deny,
        vec![rule(vec![
            vec![principals(none(vec![Text::Present]))],
            vec![ports(none(vec![8080]))],
        ])],
    );
    let policies = [&strict];
    assert_eq!(
        decide(policies.iter().copied(), &from(Some(WEB))),
        Verdict::Allowed
    );
    assert_eq!(
        decide(policies.iter().copied(), &from(None)),
        Verdict::DeniedBy(&strict)
    );
    assert_eq!(decide([&except_port].into_iter(), &from(None)), Verdict::Allowed);
    let other_port = Connection {
        port: 9090,
        ..from(None)
    };
    assert_eq!(
        decide([&except_port].into_iter(), &other_port),
        Verdict::DeniedBy(&except_port)
    );
}

proptest! {
    #[test]
    fn a_block_holds_what_shares_its_bits(a in proptest::num::u32::ANY, b in proptest::num::u32::ANY, length in 0u32..=32) {
        let block = Block::new(IpAddr::V4(a.into()), length).unwrap();
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        prop_assert_eq!(block.contains(IpAddr::V4(b.into())), a & mask == b & mask);
    }
}
