//! ProxyConfig: for sidecars only.

use super::{field, quoted, spec, tell_each};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::{Disposition, Sink};
use model::Kind;

/// Tells what of each ProxyConfig ends.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    tell_each(context, sink, &Kind::ProxyConfig, |object, notes| {
        let set = ["concurrency", "environmentVariables", "image"]
            .into_iter()
            .filter(|key| field(object, &[key]).is_some());
        let message = match quoted(set) {
            fields if fields.is_empty() => "it sets nothing".to_owned(),
            fields => format!("neither a waypoint nor ztunnel reads {fields}"),
        };
        notes.tell(Code::ProxyConfigKept, &spec(&[]), message);
        Disposition::Kept
    });
}
