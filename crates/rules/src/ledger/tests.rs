use super::*;

#[test]
fn patterns_cover_what_they_spell_out() {
    for (pattern, path, expected) in [
        ("a.b", "a.b", true),
        ("a.b", "a.b.c", false),
        ("a.{b,c.d}", "a.c.d", true),
        ("{a,a[].x}.b", "a[].x.b", true),
        ("h{}.{exact,regex}", "h{}.regex", true),
        ("h{}.{exact,regex}", "h{}.prefix", false),
        ("a.{b{}.c,d{},e[]}", "a.b{}.c", true),
        ("a.{b{}.c,d{},e[]}", "a.d{}", true),
        ("a.{b{}.c,d{},e[]}", "a.d", false),
        ("a.{b,c.{d,e}}.f", "a.c.e.f", true),
        ("**.tls.*", "a.b[].tls.mode", true),
        ("**.tls.*", "tls.mode", false),
        ("a.**", "a.b.c", true),
        ("a.**", "a", false),
    ] {
        assert_eq!(
            Pattern::new(pattern).covers(path),
            expected,
            "{pattern} and {path}"
        );
    }
}

#[test]
fn faults_of_a_table_are_found() {
    let row = |field: &str| Row {
        field: field.to_owned(),
        kept: Some("always".to_owned()),
        traffic: "none".to_owned(),
        source: vec!["a".to_owned()],
        ..Row::default()
    };
    let mut table = Table {
        about: "a".to_owned(),
        sources: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        rows: vec![row("a"), row("{b,c}")],
        ..Table::default()
    };
    let codes = BTreeSet::new();
    assert_eq!(faults(&table, &["a", "b", "c"], &codes), Vec::<String>::new());
    table.rows.push(row("*"));
    table.rows.extend([Row {
        codes: vec!["MM9999".to_owned()],
        ..row("d.e")
    }]);
    assert_eq!(
        faults(&table, &["a", "b", "d.f"], &codes),
        [
            "`a` has several rows: a, *",
            "`b` has several rows: {b,c}, *",
            "`d.f` has no row",
            "the row `{b,c}` is for no field: c",
            "the row `d.e` is for no field: d.e",
            "the row `d.e` names the unknown code MM9999",
        ]
    );
}
