//! Keys, certificates and kubeconfigs of the cluster; made anew by each `up`.

use super::shell::write;
use bed::layout::{API_PORT, CONTROL_PLANE, Layout, Node};
use miette::{IntoDiagnostic, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// Who may be named in a certificate: the user and the groups that the API server reads from it.
struct Subject<'a> {
    name: &'a str,
    group: Option<&'a str>,
    hosts: Vec<String>,
}

/// Makes everything below `pki/`, and the kubeconfigs.
pub fn make(layout: &Layout, nodes: u8) -> Result<()> {
    let authority = Authority::new(layout)?;
    // The first address of the Services' network is the API server's own.
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
    ];
    let addresses = [CONTROL_PLANE, "10.96.0.1", "127.0.0.1"];
    authority.issue(
        "apiserver",
        &Subject {
            name: "kube-apiserver",
            group: Some("system:masters"),
            hosts: names.iter().chain(&addresses).map(ToString::to_string).collect(),
        },
    )?;
    let account = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).into_diagnostic()?;
    write(&layout.pki().join("account.key"), account.serialize_pem())?;
    write(&layout.pki().join("account.pub"), account.public_key_pem())?;
    for (file, name, group) in [
        ("admin", "admin", Some("system:masters")),
        ("controller-manager", "system:kube-controller-manager", None),
        ("scheduler", "system:kube-scheduler", None),
        ("kube-proxy", "system:kube-proxy", None),
    ] {
        authority.user(file, name, group, Vec::new())?;
    }
    for node in Node::first(nodes) {
        let name = format!("system:node:{}", node.name());
        authority.user(
            &node.name(),
            &name,
            Some("system:nodes"),
            vec![node.address(), node.name()],
        )?;
    }
    std::fs::copy(layout.pki().join("admin.kubeconfig"), layout.kubeconfig()).into_diagnostic()?;
    Ok(())
}

struct Authority<'a> {
    layout: &'a Layout,
    issuer: Issuer<'static, KeyPair>,
}

impl<'a> Authority<'a> {
    fn new(layout: &'a Layout) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = named("bed", None);
        let key = KeyPair::generate().into_diagnostic()?;
        let certificate = params.self_signed(&key).into_diagnostic()?;
        write(&layout.pki().join("ca.crt"), certificate.pem())?;
        write(&layout.pki().join("ca.key"), key.serialize_pem())?;
        Ok(Self {
            layout,
            issuer: Issuer::new(params, key),
        })
    }

    fn issue(&self, file: &str, subject: &Subject<'_>) -> Result<()> {
        let mut params = CertificateParams::new(subject.hosts.clone()).into_diagnostic()?;
        params.distinguished_name = named(subject.name, subject.group);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let key = KeyPair::generate().into_diagnostic()?;
        let certificate = params.signed_by(&key, &self.issuer).into_diagnostic()?;
        let pki = self.layout.pki();
        write(&pki.join(format!("{file}.crt")), certificate.pem())?;
        write(&pki.join(format!("{file}.key")), key.serialize_pem())
    }

    /// A certificate and a kubeconfig that uses it.
    fn user(&self, file: &str, name: &str, group: Option<&str>, hosts: Vec<String>) -> Result<()> {
        self.issue(file, &Subject { name, group, hosts })?;
        let pki = self.layout.pki();
        let pki = pki.display();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: bed\n\
             clusters:\n- name: bed\n  cluster:\n    server: https://{CONTROL_PLANE}:{API_PORT}\n    \
             certificate-authority: {pki}/ca.crt\n\
             users:\n- name: {file}\n  user:\n    client-certificate: {pki}/{file}.crt\n    client-key: {pki}/{file}.key\n\
             contexts:\n- name: bed\n  context:\n    cluster: bed\n    user: {file}\n"
        );
        write(&self.layout.pki().join(format!("{file}.kubeconfig")), text)
    }
}

fn named(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    if let Some(group) = group {
        all.push(DnType::OrganizationName, group);
    }
    all
}
