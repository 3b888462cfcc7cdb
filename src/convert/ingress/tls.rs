//! TLS of a server as TLS of a listener: what proves a client stays what it was, or the server is kept.

use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::options::Options;
use crate::convert::virtual_service::backend::is_precise_hostname;
use model::traffic::IstioGateway;
use model::{FieldPath, Opaque, record};
use serde_json::{Map, Value as Json, json};

type GatewayNotes<'a> = Notes<'a, IstioGateway>;

/// How Istio is told of client certificates where the Gateway API has no field
/// (istio/istio:pilot/pkg/config/kube/gatewaycommon).
const MODE_OPTION: &str = "gateway.istio.io/tls-terminate-mode";
/// The same for ciphers.
const CIPHERS_OPTION: &str = "gateway.istio.io/tls-cipher-suites";

record! { strict;
    /// TLS of a server (`istio.networking.v1alpha3.ServerTLSSettings`).
    pub struct Written {
        /// Every request is sent to HTTPS.
        pub https_redirect: Option<bool> = "httpsRedirect" | "https_redirect",
        /// What becomes of TLS.
        pub mode: Option<String> = "mode",
        /// A Secret beside the pods.
        pub credential_name: Option<String> = "credentialName" | "credential_name",
        /// Several.
        pub credential_names: Vec<String> = "credentialNames" | "credential_names",
        /// A Secret or ConfigMap with the authority of clients.
        pub ca_cert_credential_name: Option<String> = "caCertCredentialName" | "ca_cert_credential_name",
        /// Ciphers.
        pub cipher_suites: Vec<String> = "cipherSuites" | "cipher_suites",
        /// A file.
        pub server_certificate: Option<String> = "serverCertificate" | "server_certificate",
        /// A file.
        pub private_key: Option<String> = "privateKey" | "private_key",
        /// A file.
        pub ca_certificates: Option<String> = "caCertificates" | "ca_certificates",
        /// A file.
        pub ca_crl: Option<String> = "caCrl" | "ca_crl",
        /// Files.
        pub tls_certificates: Vec<Opaque> = "tlsCertificates" | "tls_certificates",
        /// Names that clients must have.
        pub subject_alt_names: Vec<String> = "subjectAltNames" | "subject_alt_names",
        /// Keys that clients must have.
        pub verify_certificate_spki: Vec<String> = "verifyCertificateSpki" | "verify_certificate_spki",
        /// Certificates that clients must have.
        pub verify_certificate_hash: Vec<String> = "verifyCertificateHash" | "verify_certificate_hash",
        /// The oldest version.
        pub min_protocol_version: Option<String> = "minProtocolVersion" | "min_protocol_version",
        /// The newest version.
        pub max_protocol_version: Option<String> = "maxProtocolVersion" | "max_protocol_version",
        /// Whether certificates of clients are not looked at.
        pub insecure_skip_verify: Option<bool> = "insecureSkipVerify" | "insecure_skip_verify",
    }
}

/// TLS that ends at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminate {
    /// What is asked of clients, in the words of Istio; `SIMPLE` is nothing.
    mode: Mode,
    /// Secrets beside the pods.
    certificates: Vec<String>,
    /// A Secret with the authority of clients; absent, it stands beside the certificate.
    authority: Option<String>,
    ciphers: Vec<String>,
    path: FieldPath,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Simple,
    Mutual,
    OptionalMutual,
    IstioMutual,
}

/// Whether a server for plain HTTP only sends on to HTTPS; `None` if it has more of TLS.
pub fn redirect(mut tls: Written, path: &FieldPath, notes: &mut GatewayNotes<'_>) -> Option<bool> {
    let redirect = tls.https_redirect.take().unwrap_or_default();
    if tls != Written::default() {
        notes.keep(
            Code::IngressServer,
            path,
            "the server speaks plain HTTP and has TLS settings, which Istio refuses",
        );
        return None;
    }
    Some(redirect)
}

/// Reads TLS of a server: how it ends, or `Some(None)` where it goes through; `None` if something stood in the way.
pub fn read(tls: Written, path: &FieldPath, notes: &mut GatewayNotes<'_>) -> Option<Option<Terminate>> {
    let before = notes.obstacles();
    name_unsupported(&tls, path, notes);
    let mode = match tls.mode.as_deref().unwrap_or("PASSTHROUGH") {
        "PASSTHROUGH" => None,
        "SIMPLE" => Some(Mode::Simple),
        "MUTUAL" => Some(Mode::Mutual),
        "OPTIONAL_MUTUAL" => Some(Mode::OptionalMutual),
        "ISTIO_MUTUAL" => Some(Mode::IstioMutual),
        other => {
            let message = if other == "AUTO_PASSTHROUGH" {
                "AUTO_PASSTHROUGH is for traffic between clusters of the mesh, which has no form for gateways of users"
                    .to_owned()
            } else {
                format!("`{other}` is no mode that is known")
            };
            notes.keep(Code::IngressServer, &path.key("mode"), message);
            return None;
        }
    };
    let single = tls.credential_name.filter(|name| !name.is_empty());
    let terminate = mode.map(|mode| Terminate {
        mode,
        certificates: if tls.credential_names.is_empty() {
            single.into_iter().collect()
        } else {
            tls.credential_names
        },
        authority: tls.ca_cert_credential_name.filter(|name| !name.is_empty()),
        ciphers: tls.cipher_suites,
        path: path.clone(),
    });
    if let Some(terminate) = &terminate {
        terminate.check(path, notes);
    }
    (notes.obstacles() == before).then_some(terminate)
}

fn name_unsupported(tls: &Written, path: &FieldPath, notes: &mut GatewayNotes<'_>) {
    let is_set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let version = |text: &Option<String>| text.as_deref().is_some_and(|text| text != "TLS_AUTO");
    let file = "a listener takes certificates from Secrets, not from files";
    let client =
        "a listener does not look at what is in the certificate of a client, so more clients would be let in";
    let range = "a listener has no versions of TLS, so older ones could be spoken";
    for (key, is_set, why) in [
        ("serverCertificate", is_set(&tls.server_certificate), file),
        ("privateKey", is_set(&tls.private_key), file),
        ("caCertificates", is_set(&tls.ca_certificates), file),
        ("tlsCertificates", !tls.tls_certificates.is_empty(), file),
        (
            "caCrl",
            is_set(&tls.ca_crl),
            "a listener has no list of revoked certificates, so more clients would be let in",
        ),
        ("subjectAltNames", !tls.subject_alt_names.is_empty(), client),
        (
            "verifyCertificateSpki",
            !tls.verify_certificate_spki.is_empty(),
            client,
        ),
        (
            "verifyCertificateHash",
            !tls.verify_certificate_hash.is_empty(),
            client,
        ),
        ("minProtocolVersion", version(&tls.min_protocol_version), range),
        ("maxProtocolVersion", version(&tls.max_protocol_version), range),
        (
            "insecureSkipVerify",
            tls.insecure_skip_verify == Some(true),
            "it has no form of its own in a listener",
        ),
        (
            "httpsRedirect",
            tls.https_redirect == Some(true),
            "the server speaks TLS, and a redirect to TLS is for plain HTTP",
        ),
    ] {
        if is_set {
            notes.keep(
                Code::IngressServer,
                &path.key(key),
                format!("`{key}` has no form in the Gateway API: {why}"),
            );
        }
    }
}

impl Terminate {
    fn check(&self, path: &FieldPath, notes: &mut GatewayNotes<'_>) {
        let odd = self
            .certificates
            .iter()
            .chain(&self.authority)
            .find(|name| !is_precise_hostname(name));
        if let Some(name) = odd {
            let message = format!("`{name}` is no name of a Secret beside the pods of the gateway");
            notes.keep(Code::IngressServer, &path.key("credentialName"), message);
        }
        if self.mode == Mode::IstioMutual {
            if !self.certificates.is_empty() || self.authority.is_some() || !self.ciphers.is_empty() {
                notes.keep(Code::IngressServer, path, "with ISTIO_MUTUAL a listener takes the certificates of the mesh and nothing else, and this server names more");
            }
        } else if self.certificates.is_empty() || self.certificates.len() > 2 {
            let message = format!(
                "{} Secrets with certificates; a listener of Istio takes one or two",
                self.certificates.len()
            );
            notes.keep(Code::IngressServer, &path.key("credentialName"), message);
        }
        if self.authority.is_some() && !self.asks_clients() {
            notes.keep(
                Code::IngressServer,
                &path.key("caCertCredentialName"),
                "an authority of its own has a form in the Gateway API with MUTUAL and OPTIONAL_MUTUAL only",
            );
        }
    }

    /// As `tls` of a listener.
    pub fn to_json(&self) -> Json {
        let mut tls = Map::new();
        tls.insert("mode".into(), json!("Terminate"));
        if !self.certificates.is_empty() {
            let named = self.certificates.iter();
            let references = named.map(|name| json!({ "group": "", "kind": "Secret", "name": name }));
            tls.insert("certificateRefs".into(), references.collect());
        }
        let mut options = Map::new();
        if let Some(word) = self.option() {
            options.insert(MODE_OPTION.into(), json!(word));
        }
        if !self.ciphers.is_empty() {
            options.insert(CIPHERS_OPTION.into(), json!(self.ciphers.join(",")));
        }
        if !options.is_empty() {
            tls.insert("options".into(), Json::Object(options));
        }
        Json::Object(tls)
    }

    fn option(&self) -> Option<&'static str> {
        match self.mode {
            Mode::Simple => None,
            Mode::Mutual => Some("MUTUAL"),
            Mode::OptionalMutual => Some("OPTIONAL_MUTUAL"),
            Mode::IstioMutual => Some("ISTIO_MUTUAL"),
        }
    }

    /// Whether certificates of clients are asked for that a Secret vouches for.
    fn asks_clients(&self) -> bool {
        matches!(self.mode, Mode::Mutual | Mode::OptionalMutual)
    }

    /// Says which options of Istio stand for fields that the Gateway API does not have, and which the release does not
    /// know: an unknown one is passed over, and more would be let in.
    pub fn check_options(&self, options: Options, notes: &mut GatewayNotes<'_>) {
        if self.mode == Mode::OptionalMutual && self.authority.is_none() && !options.has_optional_mutual() {
            let message = format!(
                "up to Istio 1.31 a listener with OPTIONAL_MUTUAL does not get the authority of clients that stands beside its certificate, and no connection comes about (istio/istio#60618); this is for Istio {}",
                options.istio
            );
            notes.keep(Code::IngressServer, &self.path.key("mode"), message);
        }
        if !self.ciphers.is_empty() && !options.has_cipher_option() {
            let message = format!(
                "Istio reads the option for ciphers from 1.29 on; this is for Istio {}",
                options.istio
            );
            notes.keep(Code::IngressServer, &self.path.key("cipherSuites"), message);
        }
        if let Some(word) = self.option() {
            let message = format!(
                "the listener says {word} by the option `{MODE_OPTION}`, which is Istio's own: another implementation would not ask clients for certificates"
            );
            notes.tell(Code::IngressTlsOption, &self.path.key("mode"), message);
        }
        if !self.ciphers.is_empty() {
            let message = format!("the ciphers are in the option `{CIPHERS_OPTION}`, which is Istio's own");
            notes.tell(Code::IngressTlsOption, &self.path.key("cipherSuites"), message);
        }
    }
}

/// What is asked of clients at the ports whose servers name an authority of their own: one reference per port, for every
/// listener there.
pub fn frontend<'t>(
    ports: impl Iterator<Item = (u16, &'t Terminate)> + Clone,
    options: Options,
    notes: &mut GatewayNotes<'_>,
) -> Vec<Json> {
    let mut settings: Vec<(u16, Json)> = Vec::new();
    for (port, terminate) in ports.clone() {
        let Some(authority) = &terminate.authority else {
            continue;
        };
        let place = terminate.path.key("caCertCredentialName");
        if !options.has_frontend_validation() {
            let message = format!(
                "an authority of its own becomes `spec.tls.frontend` of a Gateway, which is there from Istio 1.31 and Gateway API 1.5 on; this is for Istio {} and Gateway API {}",
                options.istio, options.gateway_api
            );
            notes.keep(Code::IngressServer, &place, message);
        }
        let differs = |other: &Terminate| !other.asks_clients() || other.authority != terminate.authority;
        if ports.clone().any(|(at, other)| at == port && differs(other)) {
            let message = format!(
                "a Gateway asks the same of all clients at port {port}, and another server there asks for something else"
            );
            notes.keep(Code::IngressServer, &place, message);
        }
        if settings.iter().all(|(known, _)| *known != port) {
            let reference = json!({ "group": "", "kind": "Secret", "name": authority });
            settings.push((
                port,
                json!({ "port": port, "tls": { "validation": { "caCertificateRefs": [reference], "mode": "AllowValidOnly" } } }),
            ));
        }
    }
    settings.into_iter().map(|(_, setting)| setting).collect()
}
