//! Keeps `docs/reference` fresh.

use super::super::root;
use mesh_migrate::ledger::{GatewayField, Row, Table, gateway_api, tables};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const MADE_BY: &str = "<!-- written by the test ledger; UPDATE_DOCS=1 cargo test --test ledger -->\n";

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

fn field_cell(row: &Row) -> String {
    let mut text = format!("`{}`", row.field);
    let since = row.fields.iter().filter(|(_, since)| *since > 24);
    let mut releases: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (field, since) in since {
        releases.entry(*since).or_default().push(field);
    }
    for (release, fields) in releases {
        if fields.len() == row.fields.len() {
            let _ = write!(text, "<br>since Istio 1.{release}");
        } else {
            let mut names: Vec<&str> = fields
                .iter()
                .filter_map(|field| field.rsplit('.').next())
                .collect();
            names.sort_unstable();
            names.dedup();
            let _ = write!(text, "<br>since Istio 1.{release}: `{}`", names.join("`, `"));
        }
    }
    text
}

fn page(table: &Table) -> String {
    let mut text = format!(
        "{MADE_BY}\n# {}\n\n`{}`. {}\n",
        table.kind,
        table.group,
        cell(table.about)
    );
    let mut sources: Vec<&'static str> = Vec::new();
    if !table.object.is_empty() {
        text.push_str("\nOf the object as a whole:\n");
        rows(table.object, "part", &mut sources, &mut text);
        text.push_str("\nOf its fields:\n");
    }
    rows(table.rows, "field", &mut sources, &mut text);
    text.push_str("\nFrom:\n\n");
    for (number, source) in sources.iter().enumerate() {
        let _ = writeln!(text, "{}. `{source}`", number + 1);
    }
    text
}

fn rows(rows: &[Row], what: &str, sources: &mut Vec<&'static str>, text: &mut String) {
    let _ = write!(
        text,
        "\n| {what} | what `convert` does | in ambient mode | messages | from |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let does: Vec<String> = row
            .outcomes
            .iter()
            .map(|(outcome, condition)| format!("**{}**: {}", outcome.as_str(), cell(condition)))
            .collect();
        let messages: Vec<String> = row
            .pages()
            .map(|page| format!("{}&nbsp;{}", page.id, page.name))
            .collect();
        let mut from = Vec::new();
        for source in row.sources {
            let number = sources
                .iter()
                .position(|known| known == source)
                .unwrap_or_else(|| {
                    sources.push(source);
                    sources.len() - 1
                });
            from.push((number + 1).to_string());
        }
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            field_cell(row),
            does.join("<br>"),
            cell(row.traffic),
            messages.join("<br>"),
            from.join(", ")
        );
    }
}

const HOW_TO_READ: &str = "\
# What becomes of every field

One page per kind of Istio, one row per field (or per fields of which the same is true), for all fields of the CRDs of Istio
1.24 to 1.31. `mesh-migrate explain VirtualService` lists the rows of a kind in the terminal, `mesh-migrate explain
VirtualService.http.retries` those of a field, `mesh-migrate explain MM3148` the page of a message.

In the column of fields `[]` is an element of a list and `{}` a value of a mapping; `{a,b}` is either, `*` one name, `**` one or
more. A field that came later than Istio 1.24 says so. A table before that of the fields has what is said of an object as a
whole, its name or its annotations. An object with fields that are not known here (MM3114), or that stands in the input twice
(MM3116), is kept whatever its fields are. What `convert` does is one or several of these, each with its condition:

- **converted**: new objects say the same, exactly. The old object stays for sidecars.
- **kept**: the old object stays and means the same in ambient mode, because a waypoint or ztunnel reads it. One field that
  must be kept keeps its object.
- **stricter**: the new objects refuse more than the old ones did, never less.
- **blocker**: nothing in ambient mode does it. Someone has to decide before the move.
- **told**: no request is decided by it, or nothing is to be done; it is mentioned.

";

const VERSIONS: &str = "
## Which release of the Gateway API has what

`convert` writes only what the release and channel of the cluster have (`--gateway-api 1.4/experimental`; read from the
cluster otherwise). Of the kinds that it may write, these are the fields and values that came later than 1.0, or are not in the
standard channel; all others are in every release, or came with their kind. Behind `=` stand values of
a field; `-` means in no release up to 1.6.

| kind | field | standard | experimental |
|---|---|---|---|
";

fn release(minor: Option<u32>) -> String {
    minor.map_or("-".to_owned(), |minor| format!("1.{minor}"))
}

fn versions() -> String {
    let fields = gateway_api();
    let of_kind = |field: &GatewayField| {
        fields
            .iter()
            .find(|kind| kind.field == "(kind)" && (kind.kind, kind.version) == (field.kind, field.version))
    };
    // Values of one field that came together share a line.
    let mut lines: Vec<(&GatewayField, &str, Vec<&str>)> = Vec::new();
    for field in fields {
        let is_kind = field.field == "(kind)";
        let with_kind = of_kind(field)
            .is_some_and(|kind| (kind.standard, kind.experimental) == (field.standard, field.experimental));
        if field.standard == Some(0) || with_kind && !is_kind {
            continue;
        }
        let (name, value) = field.field.split_once('=').unwrap_or((field.field, ""));
        match lines.last_mut() {
            Some((last, known, values))
                if *known == name
                    && (last.kind, last.version) == (field.kind, field.version)
                    && (last.standard, last.experimental) == (field.standard, field.experimental) =>
            {
                values.push(value);
            }
            _ => lines.push((field, name, vec![value])),
        }
    }
    let mut text = String::from(VERSIONS);
    for (field, name, values) in lines {
        let shown = match (name, values.as_slice()) {
            ("(kind)", _) => "the kind".to_owned(),
            (name, [""]) => format!("`{}`", name.trim_start_matches("spec.")),
            (name, values) => format!("`{}` = {}", name.trim_start_matches("spec."), values.join(", ")),
        };
        let _ = writeln!(
            text,
            "| {} {} | {shown} | {} | {} |",
            field.kind,
            field.version,
            release(field.standard),
            release(field.experimental)
        );
    }
    text
}

fn index() -> String {
    let mut text = format!("{MADE_BY}\n{HOW_TO_READ}| kind | fields | rows |\n|---|---|---|\n");
    for table in tables() {
        let fields: usize = table.rows.iter().map(|row| row.fields.len()).sum();
        let _ = writeln!(
            text,
            "| [{0}]({0}.md) | {fields} | {1} |",
            table.kind,
            table.rows.len()
        );
    }
    text.push_str(&versions());
    text
}

#[test]
fn the_reference_is_fresh() {
    let folder = root().join("docs/reference");
    let mut pages = vec![("README.md".to_owned(), index())];
    pages.extend(
        tables()
            .iter()
            .map(|table| (format!("{}.md", table.kind), page(table))),
    );
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    if update {
        std::fs::create_dir_all(&folder).unwrap();
    }
    let mut stale = Vec::new();
    for (name, expected) in pages {
        let path = folder.join(&name);
        if std::fs::read_to_string(&path).unwrap_or_default() == expected {
            continue;
        }
        if update {
            std::fs::write(&path, &expected).unwrap();
        } else {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "docs/reference is stale ({}); run UPDATE_DOCS=1 cargo test --test ledger",
        stale.join(", ")
    );
}
