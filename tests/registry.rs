//! Images pushed to a real registry: distribution, with a password. `cargo xtask bed up` builds it.

#![expect(clippy::unwrap_used, reason = "a registry that does not come up is a failure")]

use bed::layout::Layout;
use bed::{Bed, REQUIRED};
use mesh_migrate::payload::push::{Credentials, Options, push_blocking};
use oci::{Compression, Content, Digest, Image, Packed};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `user` with the password `secret`, by bcrypt.
const USERS: &str = "user:$2a$04$ucN8haSJyBeEZ.s7jq3e5e3G6RfLrRTw5YFDkuF.SyyCiLNEA.BF.\n";

struct Registry {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// A registry that has nothing in it; none where the program was not built.
    fn start() -> Option<Self> {
        let program = Layout::of_user().program("registry");
        if !program.exists() {
            let reason = "the registry is not built (`cargo xtask bed up` builds it)";
            assert!(std::env::var_os(REQUIRED).is_none(), "{reason}");
            Bed::say_skipped(reason);
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let users = folder.path().join("users");
        std::fs::write(&users, USERS).unwrap();
        let settings = serde_json::json!({
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": true}},
            "storage": {"inmemory": {}},
            "http": {"addr": address.to_string(), "secret": "of this test"},
            "auth": {"htpasswd": {"realm": "test", "path": users}},
        });
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, settings.to_string()).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            child,
            address,
            _folder: folder,
        };
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < patience, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    /// What the registry gives for a name: the manifest and its digest, and the bytes of its blobs.
    fn pull(&self, name: &str) -> (String, String, Vec<Vec<u8>>) {
        let client = Client::new(ClientConfig {
            protocol: ClientProtocol::Http,
            ..ClientConfig::default()
        });
        let auth = RegistryAuth::Basic("user".to_owned(), "secret".to_owned());
        let reference: Reference = name.parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let accepted = [oci::MANIFEST];
            let (bytes, digest) = client
                .pull_manifest_raw(&reference, &auth, &accepted)
                .await
                .unwrap();
            let manifest: oci_client::manifest::OciImageManifest = serde_json::from_slice(&bytes).unwrap();
            let mut blobs = Vec::new();
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                let mut bytes = Vec::new();
                client.pull_blob(&reference, blob, &mut bytes).await.unwrap();
                blobs.push(bytes);
            }
            (String::from_utf8(bytes.to_vec()).unwrap(), digest, blobs)
        })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

fn image(registry: SocketAddr, program: &str) -> Packed {
    let image = Image {
        name: format!("{registry}/mesh/{program}:1.0"),
        architecture: "amd64",
        // More than the client sends in one piece.
        files: BTreeMap::from([(program.into(), Content::Program(noise(6_000_000)))]),
        entrypoint: vec![format!("/{program}")],
        user: 0,
        annotations: BTreeMap::new(),
    };
    image.pack(Compression::Gzip).unwrap()
}

/// Bytes that do not compress: the low bits of a linear congruential generator's state are the least random, the high
/// ones do.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

fn options(password: &str, plain_http: bool) -> Options {
    Options {
        credentials: Some(Credentials {
            username: "user".to_owned(),
            password: password.to_owned(),
        }),
        plain_http,
    }
}

#[test]
fn what_is_pushed_can_be_pulled_by_its_digest() {
    let Some(registry) = Registry::start() else { return };
    let images = [
        image(registry.address, "mesh-proxy"),
        image(registry.address, "mesh-agent"),
    ];
    let mut said = Vec::new();
    for _ in 0..2 {
        // The second time, everything is there already.
        push_blocking(&images, &options("secret", true), &mut |text| {
            said.push(text.to_owned());
        })
        .unwrap();
    }
    assert_eq!(said[1], format!("pushing {}", images[1].name));
    for image in &images {
        let by_digest = format!("{}@{}", image.name.trim_end_matches(":1.0"), image.digest());
        for name in [&image.name, &by_digest] {
            let (manifest, digest, blobs) = registry.pull(name);
            assert_eq!((&manifest, digest), (&image.manifest, image.digest().to_string()));
            assert_eq!(Digest::of(&blobs[0]), *image.layer.digest());
            assert_eq!(blobs[1], image.configuration.as_bytes());
        }
    }
}

#[test]
fn what_the_registry_has_against_it_is_said() {
    let Some(registry) = Registry::start() else { return };
    let push = |address, options: &Options| {
        let images = [image(address, "mesh-proxy")];
        push_blocking(&images, options, &mut |_| {})
            .unwrap_err()
            .to_string()
    };
    let nobody = free_address();
    for (address, options, expected) in [
        (
            registry.address,
            options("wrong", true),
            "does not let this user push",
        ),
        (registry.address, options("secret", false), "InvalidContentType"),
        (nobody, options("secret", true), "refused"),
    ] {
        let said = push(address, &options);
        assert!(
            said.starts_with(&format!("`{address}/mesh/mesh-proxy:1.0` was not pushed: ")),
            "{said}"
        );
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("secret") && !said.contains("wrong"), "{said}");
    }
}
