//! Round trips, and files that are no snapshots.

use super::*;
use serde_json::json;

fn cluster() -> RawCluster {
    let object = |api: &str, kind: &str, namespace: Option<&str>, name: &str| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = namespace.into();
        }
        object
    };
    let mut objects = vec![
        object("v1", "Namespace", None, "shop"),
        object(
            "networking.istio.io/v1",
            "VirtualService",
            Some("shop"),
            &"x".repeat(200),
        ),
        object("gateway.networking.k8s.io/v1", "Gateway", Some("shop"), "edge"),
        object("networking.istio.io/v1", "Gateway", Some("shop"), "edge"),
    ];
    objects.sort_by_cached_key(identity);
    RawCluster {
        objects,
        context: "prod".to_owned(),
        taken_at: "2026-11-25T01:00:00Z".to_owned(),
        server_version: Some("1.34".to_owned()),
        read: BTreeSet::from([Kind::Namespace, Kind::Gateway, Kind::IstioGateway]),
        unreadable: BTreeMap::from([(Kind::CalicoNetworkPolicy, "forbidden".to_owned())]),
        not_installed: BTreeSet::from([Kind::SailIstio]),
        namespaces: Some(BTreeSet::from(["shop".to_owned()])),
    }
}

fn bytes(cluster: &RawCluster) -> Vec<u8> {
    let mut out = Vec::new();
    archive(cluster, &mut out).unwrap();
    out
}

/// An archive with entries of our choice.
fn foreign(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (path, data) in entries {
        append(&mut builder, path, data).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn what_is_written_is_read_and_has_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.tar.zst");
    let mut cluster = cluster();
    write(&path, &cluster).unwrap();
    let first = std::fs::read(&path).unwrap();
    assert_eq!(load(&path).unwrap(), cluster);
    cluster.objects.reverse();
    write(&path, &cluster).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.tar.zst");
    write(&path, &cluster()).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn every_cut_and_every_flipped_byte_is_noticed() {
    let whole = bytes(&cluster());
    for length in 0..whole.len() {
        let result = unpack(&whole[..length], LIMITS);
        assert!(result.is_err(), "cut at {length} of {}", whole.len());
    }
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        // A byte of the header may have no meaning; what is read is the same then.
        if let Ok(read) = unpack(&*bytes, LIMITS) {
            assert_eq!(read, cluster(), "flipped at {place}");
        }
    }
}

#[test]
fn files_that_are_no_snapshots_are_told_apart() {
    let manifest =
        |version: u32| json!({"format": FORMAT, "version": version, "tool_version": "9.1.0"}).to_string();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty", Vec::new(), "NotASnapshot"),
        ("yaml", b"kind: Service\n".to_vec(), "NotASnapshot"),
        (
            "zstd of text",
            zstd::encode_all(&b"text"[..], 1).unwrap(),
            "NotASnapshot",
        ),
        ("empty archive", foreign(&[]), "NotASnapshot"),
        ("other archive", foreign(&[("a.json", b"{}")]), "NotASnapshot"),
        (
            "newer",
            foreign(&[(MANIFEST, manifest(2).as_bytes())]),
            "Version { found: 2",
        ),
        (
            "half a manifest",
            foreign(&[(MANIFEST, manifest(1).as_bytes())]),
            "Damaged",
        ),
    ];
    for (name, data, expected) in cases {
        let defect = format!("{:?}", unpack(&**data, LIMITS).unwrap_err());
        assert!(defect.starts_with(expected), "{name}: {defect}");
    }
}

#[test]
fn archives_that_unpack_to_too_much_are_refused() {
    let zeros = vec![b' '; 1 << 20];
    let manifest = serde_json::to_vec(&manifest(&cluster())).unwrap();
    let bomb = foreign(&[(MANIFEST, &manifest), ("objects/a.json", &zeros)]);
    let small = |entry, total| unpack(&*bomb, Limits { entry, total }).unwrap_err();
    assert!(matches!(small(1 << 10, 4 << 20), Defect::TooLarge(what) if what == "one object"));
    assert!(matches!(small(2 << 20, 64 << 10), Defect::TooLarge(what) if what == "in all"));
    assert!(matches!(small(2 << 20, 4 << 20), Defect::Damaged(_)));
}
