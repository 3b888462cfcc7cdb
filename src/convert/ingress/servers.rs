//! Servers of an Istio Gateway, read with certainty or not at all.

use super::tls::{self, Terminate};
use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::options::Options;
use model::decode::{Decode, Decoder};
use model::traffic::IstioGateway;
use model::values::Port;
use model::{FieldPath, Object, record};

type GatewayNotes<'a> = Notes<'a, IstioGateway>;

record! { strict;
    /// A server (`istio.networking.v1alpha3.Server`).
    pub struct Written {
        /// The port of the Service.
        pub port: Option<WrittenPort> = "port",
        /// For whom, with namespaces.
        pub hosts: Vec<String> = "hosts",
        /// Its name.
        pub name: Option<String> = "name",
        /// An address to listen at.
        pub bind: Option<String> = "bind",
        /// Not implemented by Istio.
        pub default_endpoint: Option<String> = "defaultEndpoint" | "default_endpoint",
        /// TLS, and the redirect to it.
        pub tls: Option<tls::Written> = "tls",
    }
}

record! { strict;
    /// A port of a server.
    pub struct WrittenPort {
        /// The port of the Service.
        pub number: Option<Port> = "number",
        /// What clients speak.
        pub protocol: Option<String> = "protocol",
        /// Its name.
        pub name: Option<String> = "name",
        /// Not read by Istio.
        pub target_port: Option<i64> = "targetPort" | "target_port",
    }
}

/// What a server does with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// Plain HTTP, or only the redirect to HTTPS.
    Http {
        /// Whether every request is sent to HTTPS.
        redirect: bool,
    },
    /// HTTP in TLS that ends here.
    Https(Terminate),
    /// Plain TCP.
    Tcp,
    /// TCP in TLS that ends here.
    Tls(Terminate),
    /// TLS that goes through, by server name.
    Passthrough,
}

impl Serves {
    /// Whether rules for TCP count.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp | Self::Tls(_))
    }

    /// Whether clients speak TLS.
    pub fn is_tls(&self) -> bool {
        self.terminate().is_some() || *self == Self::Passthrough
    }

    /// How TLS ends.
    pub fn terminate(&self) -> Option<&Terminate> {
        match self {
            Self::Https(terminate) | Self::Tls(terminate) => Some(terminate),
            _ => None,
        }
    }
}

/// A server that a listener can stand for.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its place.
    pub path: FieldPath,
    /// The port of the Service.
    pub port: u16,
    /// The names it has, the server's own first.
    pub names: Vec<String>,
    /// For whom, as written.
    pub hosts: Vec<String>,
    /// What it does.
    pub serves: Serves,
}

/// The servers that can be read, and for every other one why it cannot.
pub fn read(object: &Object<IstioGateway>, notes: &mut GatewayNotes<'_>) -> Vec<Server> {
    let path = FieldPath::spec().key("servers");
    let servers = object.spec.servers.iter().enumerate();
    servers
        .filter_map(|(index, server)| {
            let path = path.index(index);
            let mut decoder = Decoder::default();
            let written = Written::decode(&server.0, &mut decoder)?;
            let strange = decoder.unknown.first().map(|unknown| unknown.path.to_string());
            let wrong = decoder.problems.first().map(|problem| problem.message.clone());
            if let Some(what) = strange.or(wrong) {
                let message = format!("the server cannot be read with certainty: {what}");
                notes.keep(Code::IngressServer, &path, message);
                return None;
            }
            server_of(written, path, notes)
        })
        .collect()
}

/// Says what of the servers a release does not read.
pub fn check_release(servers: &[Server], options: Options, notes: &mut GatewayNotes<'_>) {
    for terminate in servers.iter().filter_map(|server| server.serves.terminate()) {
        terminate.check_options(options, notes);
    }
    let plain = servers.iter().find(|server| server.serves == Serves::Tcp);
    if let Some(server) = plain.filter(|_| !options.has_tcp_routes()) {
        let message = format!(
            "a server for TCP needs TCPRoutes, which istiod reads from Istio 1.31 and Gateway API 1.6 on; this is for Istio {} and Gateway API {}",
            options.istio, options.gateway_api
        );
        notes.keep(
            Code::IngressServer,
            &server.path.key("port").key("protocol"),
            message,
        );
    }
}

fn server_of(written: Written, path: FieldPath, notes: &mut GatewayNotes<'_>) -> Option<Server> {
    for (key, value, why) in [
        (
            "bind",
            &written.bind,
            "a listener is open at every address of the pods",
        ),
        (
            "defaultEndpoint",
            &written.default_endpoint,
            "a listener has no endpoint of its own",
        ),
    ] {
        if value.as_deref().is_some_and(|value| !value.is_empty()) {
            notes.keep(
                Code::IngressServer,
                &path.key(key),
                format!("`{key}` has no form in the Gateway API: {why}"),
            );
        }
    }
    let port = written.port.unwrap_or_default();
    let place = path.key("port");
    if port.target_port.is_some() {
        notes.tell(
            Code::NoEffect,
            &place.key("targetPort"),
            "Istio does not read `targetPort`; the Service says which port of the pods it is",
        );
    }
    let Some(number) = port.number else {
        notes.keep(Code::IngressServer, &place, "the server has no port number");
        return None;
    };
    let protocol = port.protocol.unwrap_or_default().to_ascii_uppercase();
    let serves = match (protocol.as_str(), written.tls) {
        ("HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB", tls) => Serves::Http {
            redirect: tls::redirect(tls.unwrap_or_default(), &path.key("tls"), notes)?,
        },
        ("HTTPS" | "TLS", None) => {
            let message = format!("the protocol is {protocol}, and the server has no `tls`");
            notes.keep(Code::IngressServer, &path, message);
            return None;
        }
        ("HTTPS", Some(tls)) => match tls::read(tls, &path.key("tls"), notes)? {
            Some(terminate) => Serves::Https(terminate),
            None => Serves::Passthrough,
        },
        ("TCP" | "MONGO" | "MYSQL" | "REDIS", None) => Serves::Tcp,
        ("TLS" | "TCP" | "MONGO" | "MYSQL" | "REDIS", Some(tls)) => {
            match tls::read(tls, &path.key("tls"), notes)? {
                Some(terminate) => Serves::Tls(terminate),
                None => Serves::Passthrough,
            }
        }
        _ => {
            let message = format!("the protocol `{protocol}` is none that a listener of Istio has");
            notes.keep(Code::IngressServer, &place.key("protocol"), message);
            return None;
        }
    };
    Some(Server {
        path,
        port: number.0,
        names: written.name.into_iter().chain(port.name).collect(),
        hosts: written.hosts,
        serves,
    })
}
