use super::*;
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

fn image(program: &[u8]) -> Image {
    Image {
        name: "registry.example.com/mesh/program:1".to_owned(),
        architecture: "amd64",
        files: BTreeMap::from([
            ("program".into(), Content::Program(program.to_vec())),
            ("bin/program".into(), Content::Link("/program".into())),
            ("tmp".into(), Content::Folder),
        ]),
        entrypoint: vec!["/program".to_owned()],
        user: 0,
        annotations: BTreeMap::from([("org.opencontainers.image.version".to_owned(), "1".to_owned())]),
    }
}

/// The files of a tar archive, by name.
fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!(
            (
                entry.header().mtime().unwrap(),
                entry.header().uid().unwrap(),
                entry.header().gid().unwrap()
            ),
            (0, 0, 0)
        );
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    entries.collect()
}

#[test]
fn the_same_files_make_the_same_image() {
    let pack = |bytes: &[u8]| image(bytes).pack(Compression::Gzip).unwrap();
    assert_eq!(pack(b"one").digest(), pack(b"one").digest());
    assert_ne!(pack(b"one").digest(), pack(b"two").digest());
    let bytes = |packed| {
        let mut bytes = Vec::new();
        archive(&[packed], &mut bytes).unwrap();
        bytes
    };
    assert_eq!(bytes(pack(b"one")), bytes(pack(b"one")));
    // Written down: with another layer, no image of an earlier version could be made again.
    assert_eq!(
        pack(b"one").layer.uncompressed().to_string(),
        "sha256:e422bb6747e65e2bde0445dcf9443bc4e9a212ef34ea196f42757c7fc6d503ab"
    );
}

#[test]
fn every_digest_in_the_archive_is_that_of_a_blob() {
    let packed = [
        image(b"one").pack(Compression::Gzip).unwrap(),
        image(b"two").pack(Compression::None).unwrap(),
    ];
    let mut bytes = Vec::new();
    archive(&packed, &mut bytes).unwrap();
    let files = files(&bytes);
    assert_eq!(files.len(), 2 + 2 * 3);
    for (name, bytes) in &files {
        if let Some(digest) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(bytes).hexadecimal(), digest);
        }
    }
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"]
            .as_str()
            .unwrap()
            .replace("sha256:", "blobs/sha256/");
        let blob = &files[&digest];
        assert_eq!(descriptor["size"], blob.len());
        blob.clone()
    };
    let index = json(&files["index.json"]);
    for (entry, program) in index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .zip([&b"one"[..], b"two"])
    {
        assert_eq!(
            entry["annotations"]["io.containerd.image.name"],
            "registry.example.com/mesh/program:1"
        );
        let manifest = json(&blob(entry));
        let configuration = json(&blob(&manifest["config"]));
        assert_eq!(configuration["config"]["Entrypoint"][0], "/program");
        let layer = &manifest["layers"][0];
        let mut tar = blob(layer);
        if layer["mediaType"].as_str().unwrap().ends_with("+gzip") {
            let mut plain = Vec::new();
            GzDecoder::new(tar.as_slice()).read_to_end(&mut plain).unwrap();
            tar = plain;
        }
        assert_eq!(
            configuration["rootfs"]["diff_ids"][0],
            Digest::of(&tar).to_string()
        );
        assert_eq!(self::files(&tar)["program"], program);
    }
}

#[test]
fn a_layer_in_a_file_is_the_same_as_one_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    let image = image(b"one");
    image.write_layer(fs::File::create(&path).unwrap()).unwrap();
    let packed = image.around(Layer::of_file(path).unwrap());
    assert_eq!(packed.manifest, image.pack(Compression::None).unwrap().manifest);
}
