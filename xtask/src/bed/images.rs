//! The images of the bed: what each holds.

use super::image::Image;
use super::{node, shell, tools};
use bed::layout::{Layout, Node};
use miette::{IntoDiagnostic, Result};
use oci::Content;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// The user that Istio's own images run as.
const ISTIO_USER: u32 = 1337;

/// Writes what changed, and gives the archives.
pub fn write(layout: &Layout, istio: &str) -> Result<Vec<PathBuf>> {
    let folder = layout.images().join(istio);
    all(layout, istio)?
        .iter()
        .map(|image| image.write(&folder))
        .collect()
}

/// Gives the images to a node.
pub fn import(layout: &Layout, on: Node, archives: &[PathBuf]) -> Result<()> {
    thread::scope(|scope| {
        let imports: Vec<_> = archives
            .iter()
            .map(|archive| {
                let mut command = node::ctr(layout, on);
                command
                    .args(["images", "import", "--snapshotter=overlayfs"])
                    .arg(archive);
                scope.spawn(move || shell::run(&mut command))
            })
            .collect();
        for import in imports {
            import
                .join()
                .map_err(|_| miette::miette!("an import panicked"))??;
        }
        Ok(())
    })
}

fn all(layout: &Layout, istio: &str) -> Result<Vec<Image>> {
    let static_program = |image: &str, program: &str, user| {
        let at = format!("/{program}");
        Ok::<_, miette::Report>(Image::new(image, &[&at], user)?.file(&at, layout.program(program)))
    };
    Ok(vec![
        static_program("pause", "pause", 65535)?,
        static_program("dns", "dns", 65535)?,
        static_program("workload", "mesh-workload", 1000)?,
        static_program("ztunnel", "mesh-proxy", 0)?,
        static_program("mesh-proxy", "mesh-proxy", 0)?,
        static_program("mesh-agent", "mesh-agent", 0)?,
        Image::new("pilot", &["/usr/local/bin/pilot-discovery"], ISTIO_USER)?.file(
            "/usr/local/bin/pilot-discovery",
            layout.program("pilot-discovery"),
        ),
        cni(layout)?,
        proxy(layout, istio)?,
    ])
}

/// Istio's `proxyv2`, with a stock Envoy behind the relay.
fn proxy(layout: &Layout, istio: &str) -> Result<Image> {
    let module = tools::module_folder(&format!("istio-{istio}"), "istio.io/istio")?;
    let envoy = layout.program("envoy-stock");
    let image = Image::new("proxyv2", &["/usr/local/bin/pilot-agent"], ISTIO_USER)?
        .file("/usr/local/bin/pilot-agent", layout.program("pilot-agent"))
        .file("/usr/local/bin/envoy", layout.program("xds-relay"))
        .file("/usr/local/bin/envoy-stock", &envoy)
        .file(
            "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json",
            module.join("tools/packaging/common/envoy_bootstrap.json"),
        )
        .folder("/etc/istio/proxy")
        .folder("/var/lib/istio/data")
        .libraries_of(&envoy)?;
    with_iptables(image)
}

/// Istio's `install-cni`.
fn cni(layout: &Layout) -> Result<Image> {
    let image = Image::new("install-cni", &["/usr/local/bin/install-cni"], 0)?
        .file("/usr/local/bin/install-cni", layout.program("install-cni"))
        .file("/opt/cni/bin/istio-cni", layout.program("istio-cni"));
    with_iptables(image)?.program_of_machine("/usr/sbin/nft")
}

/// iptables of both kinds under all the names by which it is called.
fn with_iptables(image: Image) -> Result<Image> {
    let mut image = image
        .program_of_machine("/usr/sbin/xtables-nft-multi")?
        .program_of_machine("/usr/sbin/xtables-legacy-multi")?;
    for (kind, program) in [
        ("-nft", "xtables-nft-multi"),
        ("-legacy", "xtables-legacy-multi"),
        ("", "xtables-nft-multi"),
    ] {
        for family in ["iptables", "ip6tables"] {
            for deed in ["", "-save", "-restore"] {
                let at = Path::new("usr/sbin").join(format!("{family}{kind}{deed}"));
                image.0.files.insert(at, Content::Link(program.into()));
            }
        }
    }
    let extensions = Path::new("/usr/lib/x86_64-linux-gnu/xtables");
    for extension in fs::read_dir(extensions).into_diagnostic()? {
        let path = extension.into_diagnostic()?.path();
        let at = path.strip_prefix("/").unwrap_or(&path).to_owned();
        image.0.files.insert(at, Content::File(path));
    }
    // kube-proxy's rules choose between endpoints by it, and the agent reads all rules of the node.
    image.libraries_of(&extensions.join("libxt_statistic.so"))
}
