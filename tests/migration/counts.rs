//! What became of the requests, from the journals of all clients, those that have ended as well.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A request that did not go as expected.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// Milliseconds since 1970.
    pub at: u64,
    /// Namespace of the client and name of the stream.
    pub stream: String,
    pub id: String,
    pub seen: String,
    pub kind: Kind,
}

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Failed,
    WronglyAdmitted,
    WronglyRefused,
}

/// What one client counted.
struct Journal {
    client: String,
    pod: String,
    /// Requests with an outcome until a time, in milliseconds since 1970.
    sums: Vec<(u64, u64)>,
    wrong: Vec<Wrong>,
    refusals: BTreeMap<String, u64>,
    ended: bool,
    /// Requests without an outcome when it was last heard of.
    open: u64,
}

/// What all clients counted.
pub struct Counts {
    journals: Vec<Journal>,
}

/// The counts between two times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub sent: u64,
    pub failed: u64,
    pub wrongly_admitted: u64,
    pub wrongly_refused: u64,
}

impl Row {
    pub fn wrong(&self) -> u64 {
        self.failed + self.wrongly_admitted + self.wrongly_refused
    }
}

impl Counts {
    /// Reads `FOLDER/CLIENT/POD.jsonl`.
    ///
    /// # Panics
    /// Where a journal cannot be read, or a request was counted twice.
    pub fn read(folder: &Path) -> Self {
        let list = |path: &Path| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let journals: Vec<_> = list(folder)
            .iter()
            .flat_map(|client| list(client))
            .map(|path| Journal::read(&path))
            .collect();
        let ids: Vec<_> = journals
            .iter()
            .flat_map(|journal| journal.wrong.iter().map(|wrong| &wrong.id))
            .collect();
        let different: BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), different.len(), "a request was counted twice");
        Self { journals }
    }

    /// From one time to another, in milliseconds since 1970.
    pub fn between(&self, begin: u64, end: u64) -> Row {
        let mut row = Row {
            sent: self.journals.iter().map(|journal| journal.sent(begin, end)).sum(),
            ..Row::default()
        };
        for wrong in self.wrong(begin, end) {
            match wrong.kind {
                Kind::Failed => row.failed += 1,
                Kind::WronglyAdmitted => row.wrongly_admitted += 1,
                Kind::WronglyRefused => row.wrongly_refused += 1,
            }
        }
        row
    }

    /// What went wrong between two times.
    pub fn wrong(&self, begin: u64, end: u64) -> impl Iterator<Item = &Wrong> {
        let all = self.journals.iter().flat_map(|journal| &journal.wrong);
        all.filter(move |wrong| begin <= wrong.at && wrong.at < end)
    }

    /// The same, a line for each stream, kind and answer: how often, and from when to when after the first time.
    pub fn describe(&self, begin: u64, end: u64) -> String {
        let mut groups = BTreeMap::<_, Vec<u64>>::new();
        for wrong in self.wrong(begin, end) {
            let key = (wrong.kind, &wrong.stream, &wrong.seen);
            groups.entry(key).or_default().push(wrong.at);
        }
        let mut text = String::new();
        for ((kind, stream, seen), times) in groups {
            let after = |time: Option<&u64>| {
                time.map_or(0.0, |time| {
                    f64::from(u32::try_from(time - begin).unwrap_or(u32::MAX)) / 1000.0
                })
            };
            let (first, last) = (after(times.iter().min()), after(times.iter().max()));
            let number = times.len();
            let _ = writeln!(
                text,
                "{kind:?} {number} × {stream}: {seen} ({first:.1}–{last:.1} s)"
            );
        }
        text
    }

    /// How forbidden requests were refused, of all clients together.
    pub fn refusals(&self) -> BTreeMap<&str, u64> {
        let mut all = BTreeMap::new();
        for (how, number) in self.journals.iter().flat_map(|journal| &journal.refusals) {
            *all.entry(&**how).or_default() += number;
        }
        all
    }

    /// Clients that did not say how they ended, though they are not among the pods that run; and those that ended
    /// with requests on their way.
    pub fn lost(&self, running: &str) -> Vec<String> {
        let lost = self.journals.iter().filter(|journal| {
            let runs = running.split_whitespace().any(|pod| pod == journal.pod);
            (!journal.ended && !runs) || (journal.ended && journal.open > 0)
        });
        lost.map(|journal| format!("{}/{}: {} open", journal.client, journal.pod, journal.open))
            .collect()
    }

    /// How many clients there were.
    pub fn clients(&self) -> usize {
        self.journals.len()
    }
}

impl Journal {
    fn read(path: &Path) -> Self {
        let part = |path: Option<&Path>| {
            let name = path.and_then(Path::file_stem).unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let client = part(path.parent());
        let mut journal = Self {
            pod: part(Some(path)),
            sums: Vec::new(),
            wrong: Vec::new(),
            refusals: BTreeMap::new(),
            ended: false,
            open: 0,
            client,
        };
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // What is being written at this moment has no end of its line yet.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let line = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
            journal.take(&line);
        }
        journal
    }

    fn take(&mut self, line: &Value) {
        let at = line["at"].as_u64().unwrap_or_default();
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let Some(outcome) = line["outcome"].as_str() else {
            let sent = line["sent"].as_object().into_iter().flatten();
            self.sums
                .push((at, sent.filter_map(|(_, sent)| sent.as_u64()).sum()));
            let refusals = line["refusals"].as_object().into_iter().flatten();
            self.refusals = refusals
                .map(|(how, number)| (how.clone(), number.as_u64().unwrap_or_default()))
                .collect();
            self.open = line["open"].as_u64().unwrap_or_default();
            self.ended = line["ended"] == true;
            return;
        };
        self.wrong.push(Wrong {
            at,
            stream: format!("{}/{}", self.client, text("stream")),
            id: text("id"),
            seen: text("seen"),
            kind: match outcome {
                "WronglyAdmitted" => Kind::WronglyAdmitted,
                "WronglyRefused" => Kind::WronglyRefused,
                _ => Kind::Failed,
            },
        });
    }

    fn sent(&self, begin: u64, end: u64) -> u64 {
        let until = |time: u64| {
            let before = self.sums.iter().take_while(|(at, _)| *at < time);
            before.last().map_or(0, |(_, sum)| *sum)
        };
        until(end).saturating_sub(until(begin))
    }
}

#[test]
fn requests_belong_to_the_time_in_which_they_were_answered() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("market")).unwrap();
    let write = |pod: &str, lines: &str| {
        fs::write(folder.path().join(format!("market/{pod}.jsonl")), lines).unwrap();
    };
    write(
        "load-1",
        "{\"at\":1000,\"sent\":{\"a\":5,\"b\":5},\"refusals\":{\"403\":2},\"open\":1,\"ended\":false}\n\
         {\"at\":1500,\"stream\":\"a\",\"id\":\"1\",\"seen\":\"Status(503)\",\"outcome\":\"Failed(\\\"503\\\")\"}\n\
         {\"at\":2000,\"sent\":{\"a\":9,\"b\":11},\"refusals\":{\"403\":4},\"open\":0,\"ended\":true}\n",
    );
    write(
        "load-2",
        "{\"at\":2500,\"sent\":{\"a\":1},\"refusals\":{},\"open\":0,\"ended\":false}\n\
         {\"at\":2600,\"stream\":\"b\",\"id\":\"2\",\"seen\":\"Served\",\"outcome\":\"WronglyAdmitted\"}\n\
         {\"at\":2700,\"stre",
    );
    let counts = Counts::read(folder.path());
    let row = |sent, failed, wrongly_admitted| Row {
        sent,
        failed,
        wrongly_admitted,
        wrongly_refused: 0,
    };
    assert_eq!(counts.between(1200, 2200), row(10, 1, 0));
    assert_eq!(counts.between(2200, 9999), row(1, 0, 1));
    assert_eq!(counts.between(0, 9999), row(21, 1, 1));
    assert_eq!(
        counts.describe(1200, 2200),
        "Failed 1 × market/a: Status(503) (0.3–0.3 s)\n"
    );
    assert_eq!(counts.refusals(), BTreeMap::from([("403", 4)]));
    assert_eq!(counts.lost("load-2"), Vec::<String>::new());
    assert_eq!(counts.lost(""), ["market/load-2: 0 open"]);
}
