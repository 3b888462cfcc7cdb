use super::*;
use model::decode::{Decode, Decoder};

fn policy(yaml: &str) -> AuthorizationPolicy {
    let node = model::yaml::parse(model::yaml::documents(yaml)[0])
        .unwrap()
        .unwrap();
    AuthorizationPolicy::decode(&node, &mut Decoder::default()).unwrap()
}

#[test]
fn decisions_follow_the_documented_order() {
    let allow_get = policy("rules: [{to: [{operation: {methods: [GET]}}]}]");
    let deny_admin = policy("{action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}");
    let nothing = policy("action: ALLOW");
    let ask = policy("{action: CUSTOM, provider: {name: p}, rules: [{}]}");
    let get = |path: &str| Access {
        method: "GET".into(),
        path: path.into(),
        ..Access::default()
    };
    let post = Access {
        method: "POST".into(),
        path: "/x".into(),
        ..Access::default()
    };
    for (policies, access, expected) in [
        (vec![], &post, Decision::Allowed),
        (vec![&allow_get], &post, Decision::Denied),
        (vec![&allow_get], &get("/x"), Decision::Allowed),
        (vec![&allow_get, &deny_admin], &get("/admin/x"), Decision::Denied),
        (vec![&deny_admin], &post, Decision::Allowed),
        (vec![&nothing], &get("/x"), Decision::Denied),
        (vec![&ask], &post, Decision::AskedFirst),
        (vec![&ask, &deny_admin], &get("/admin"), Decision::Denied),
    ] {
        assert_eq!(decide(policies, access), Ok(expected), "{access:?}");
    }
}

#[test]
fn excluded_values_hold_for_what_is_absent() {
    let require_token = policy("{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}");
    let without = Access::default();
    let with = Access {
        request_principal: Some("issuer/subject".into()),
        ..Access::default()
    };
    assert_eq!(decide([&require_token], &without), Ok(Decision::Denied));
    assert_eq!(decide([&require_token], &with), Ok(Decision::Allowed));
}

#[test]
fn address_blocks_are_compared_by_prefix() {
    for (block, address, expected) in [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.1.2.3", false),
        ("10.1.2.3", "10.1.2.3", true),
        ("::/0", "fe80::1", true),
        ("10.0.0.0/33", "10.0.0.1", false),
        ("10.0.0.0/8", "fe80::1", false),
    ] {
        assert_eq!(
            block_holds(block, address.parse().ok()),
            expected,
            "{block} {address}"
        );
    }
}

#[test]
fn every_attribute_of_a_source_and_every_key_is_known() {
    let access = Access {
        principal: Some("td/ns/shop/sa/web".into()),
        source_ip: "10.1.2.3".parse().ok(),
        remote_ip: "8.8.8.8".parse().ok(),
        port: 80,
        path: "/a/b/c".into(),
        request_principal: Some("iss/sub".into()),
        attributes: [
            ("request.auth.claims[group]".to_owned(), "admin staff".to_owned()),
            ("connection.sni".to_owned(), "shop.example".to_owned()),
        ]
        .into(),
        ..Access::default()
    };
    for (rule, expected) in [
        ("{from: [{source: {namespaces: [shop]}}]}", true),
        ("{from: [{source: {namespaces: ['sh*']}}]}", true),
        ("{from: [{source: {namespaces: ['s*p']}}]}", true),
        ("{from: [{source: {namespaces: ['s*x*p']}}]}", false),
        ("{from: [{source: {notNamespaces: [shop]}}]}", false),
        ("{from: [{source: {serviceAccounts: [shop/web]}}]}", true),
        ("{from: [{source: {serviceAccounts: [other/web]}}]}", false),
        ("{from: [{source: {trustDomains: [td]}}]}", true),
        ("{from: [{source: {notTrustDomains: ['t*']}}]}", false),
        ("{from: [{source: {remoteIpBlocks: [8.8.0.0/16]}}]}", true),
        ("{from: [{source: {ipBlocks: [8.8.0.0/16]}}]}", false),
        ("{to: [{operation: {paths: ['/a/{*}/c']}}]}", true),
        ("{to: [{operation: {paths: ['/a/{*}']}}]}", false),
        ("{to: [{operation: {paths: ['/a/{**}']}}]}", true),
        ("{when: [{key: source.serviceAccount, values: [shop/web]}]}", true),
        ("{when: [{key: source.trustDomain, notValues: [td]}]}", false),
        ("{when: [{key: remote.ip, values: [8.8.8.8]}]}", true),
        ("{when: [{key: request.auth.principal, values: ['iss/*']}]}", true),
        (
            "{when: [{key: 'request.auth.claims[group]', values: [staff]}]}",
            true,
        ),
        (
            "{when: [{key: 'request.auth.claims[group]', values: [root]}]}",
            false,
        ),
        ("{when: [{key: connection.sni, values: ['*.example']}]}", true),
        ("{when: [{key: destination.ip, values: [10.0.0.0/8]}]}", false),
    ] {
        let policy = policy(&format!("rules: [{rule}]"));
        assert_eq!(rule_holds(&policy.rules[0], &access), Ok(expected), "{rule}");
        let parts = parts(&policy.rules[0]);
        let whole = parts.iter().any(|part| {
            rule_holds(&part.peer, &access) == Ok(true) && rule_holds(&part.request, &access) == Ok(true)
        });
        assert_eq!(whole, expected, "in parts: {rule}");
    }
    let unknown = policy("rules: [{when: [{key: source.planet, values: [mars]}]}]");
    assert_eq!(
        rule_holds(&unknown.rules[0], &access),
        Err(UnknownAttribute("source.planet".into()))
    );
}

#[test]
fn without_http_an_allow_loses_rules_and_a_deny_loses_fields() {
    let allow =
        policy("rules: [{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {ports: ['80']}}]}]");
    let deny = policy(
        "{action: DENY, rules: [{to: [{operation: {paths: [/a], ports: ['80']}}], when: [{key: 'request.headers[x]', values: [y]}]}]}",
    );
    assert_eq!(on_tcp(&allow).rules, allow.rules[1..]);
    assert_eq!(
        on_tcp(&deny),
        policy("{action: DENY, rules: [{to: [{operation: {ports: ['80']}}]}]}")
    );
}

#[test]
fn names_are_completed_with_the_namespace_and_the_trust_domains() {
    let domains = TrustDomains {
        own: "td",
        aliases: &["old".to_owned()],
    };
    let policy = policy(
        "rules: [{from: [{source: {serviceAccounts: [web, a/b], principals: [cluster.local/ns/a/sa/b, x/ns/a/sa/b]}}]}]",
    );
    let source = &completed(&policy, "shop", &domains).rules[0].from[0].source;
    assert_eq!(source.service_accounts, ["shop/web", "a/b"]);
    assert_eq!(
        source.principals,
        [
            "td/ns/a/sa/b",
            "cluster.local/ns/a/sa/b",
            "old/ns/a/sa/b",
            "x/ns/a/sa/b"
        ]
    );
}
