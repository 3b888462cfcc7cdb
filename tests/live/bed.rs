//! A real API server on loopback: etcd and kube-apiserver, in a folder of their own.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Starts both and ends them when its standard input closes: whatever becomes of the test, even if it is
/// killed, nothing is left behind.
const KEEPER: &str = r#"
trap '' HUP INT TERM
cd "$1" || exit 1
"$2" --name bed --data-dir data --unsafe-no-fsync --log-level error \
  --listen-client-urls "$4" --advertise-client-urls "$4" \
  --listen-peer-urls "$5" --initial-advertise-peer-urls "$5" --initial-cluster "bed=$5" >etcd.log 2>&1 &
etcd=$!
"$3" --etcd-servers "$4" --secure-port "$6" --bind-address 127.0.0.1 --advertise-address 127.0.0.1 \
  --endpoint-reconciler-type none --cert-dir certs --authorization-mode RBAC --anonymous-auth=false \
  --token-auth-file tokens.csv --service-cluster-ip-range 10.96.0.0/16 \
  --disable-admission-plugins ServiceAccount --service-account-issuer https://kubernetes.default.svc \
  --service-account-key-file sa.pem --service-account-signing-key-file sa.pem >apiserver.log 2>&1 &
server=$!
read -r _
kill -KILL $server $etcd
wait
cd / && rm -rf "$1"
"#;

/// The users of the server, each with a context of the same name; a token is the name twice.
const USERS: &[(&str, &str)] = &[("admin", "system:masters"), ("reader", ""), ("shop-dev", "")];

/// A running API server.
pub struct Bed {
    keeper: Child,
    folder: PathBuf,
    url: String,
}

/// The programs that a bed is made of.
pub struct Programs {
    etcd: PathBuf,
    apiserver: PathBuf,
}

impl Programs {
    /// The programs of the environment, the path, or the cache that `cargo xtask bed up` fills; or what is
    /// missing.
    pub fn find() -> Result<Self, String> {
        if program("", "openssl").is_none() {
            return Err("openssl is not installed".to_owned());
        }
        let find = |variable: &str, name: &str| {
            program(variable, name).ok_or_else(|| {
                format!("{name} is not installed (run `cargo xtask bed up`, or set {variable} to its path)")
            })
        };
        Ok(Self {
            etcd: find("MESH_MIGRATE_ETCD", "etcd")?,
            apiserver: find("MESH_MIGRATE_KUBE_APISERVER", "kube-apiserver")?,
        })
    }
}

fn program(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))
        .map(|cache| cache.join("mesh-migrate/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(cache)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

impl Bed {
    /// Starts a server without any objects of ours.
    pub fn start(programs: &Programs) -> Self {
        // Ports are free when they are chosen, but another process may be faster.
        for _ in 0..3 {
            let mut bed = Self::spawn(programs);
            match bed.wait_until_ready() {
                Ok(()) => return bed,
                Err(log) if log.contains("address already in use") => {}
                Err(log) => panic!("the API server did not start:\n{log}"),
            }
        }
        panic!("no free ports for the API server");
    }

    /// The kubeconfig, with contexts of every user, and of every way to fail.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    fn spawn(programs: &Programs) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mesh-migrate-bed-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        let [client, peer, server] = free_ports();
        let url = format!("https://127.0.0.1:{server}");
        let tokens: String = USERS.iter().fold(String::new(), |mut text, (user, groups)| {
            let _ = writeln!(text, "{user}-{user},{user},{user},\"{groups}\"");
            text
        });
        fs::write(folder.join("tokens.csv"), tokens).unwrap();
        service_account_key(&folder.join("sa.pem"));
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&folder)
            .args([&programs.etcd, &programs.apiserver])
            .arg(format!("http://127.0.0.1:{client}"))
            .arg(format!("http://127.0.0.1:{peer}"))
            .arg(server.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let bed = Self { keeper, folder, url };
        bed.write_kubeconfig();
        bed
    }

    /// Waits until the server answers; the error is its log.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        let log = self.folder.join("apiserver.log");
        while begin.elapsed() < START_LIMIT {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains("address already in use") {
                return Err(text);
            }
            if self.folder.join("certs/apiserver.crt").is_file()
                && crate::client::is_ready(&self.kubeconfig())
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        Err(read("etcd.log") + &read("apiserver.log"))
    }

    fn write_kubeconfig(&self) {
        let [closed, ..] = free_ports();
        let trusted = format!(
            "certificate-authority: {}",
            self.folder.join("certs/apiserver.crt").display()
        );
        let mut text = String::from("apiVersion: v1\nkind: Config\ncurrent-context: admin\nclusters:\n");
        for (name, server, extra) in [
            ("bed", &*self.url, &*trusted),
            ("untrusted", &self.url, "insecure-skip-tls-verify: false"),
            ("closed", &format!("https://127.0.0.1:{closed}"), &trusted),
            ("nowhere", "https://no-such-host.invalid:6443", &trusted),
        ] {
            let _ = writeln!(
                text,
                "- name: {name}\n  cluster:\n    server: {server}\n    {extra}"
            );
        }
        text.push_str("contexts:\n");
        let own = USERS.iter().map(|(user, _)| (*user, "bed", *user));
        for (name, cluster, user) in own.chain([
            ("expired", "bed", "expired"),
            ("untrusted", "untrusted", "admin"),
            ("closed", "closed", "admin"),
            ("nowhere", "nowhere", "admin"),
            ("plugin", "bed", "plugin"),
        ]) {
            let _ = writeln!(
                text,
                "- name: {name}\n  context: {{cluster: {cluster}, user: {user}}}"
            );
        }
        text.push_str("users:\n");
        for user in USERS.iter().map(|(user, _)| *user).chain(["expired"]) {
            let _ = writeln!(text, "- name: {user}\n  user: {{token: {user}-{user}}}");
        }
        text.push_str(
            "- name: plugin\n  user:\n    exec: {apiVersion: client.authentication.k8s.io/v1, \
             command: no-such-credential-plugin, interactiveMode: Never}\n",
        );
        fs::write(self.kubeconfig(), text).unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.keeper.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.keeper.wait();
    }
}

fn free_ports() -> [u16; 3] {
    // All are held until all are known, so that they differ.
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port of loopback"));
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

fn service_account_key(path: &Path) {
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
        ])
        .arg(path)
        .stderr(Stdio::null())
        .status()
        .expect("openssl");
    assert!(made.success(), "openssl cannot make a key");
}
