//! Names of new objects: with a hash where the whole name would be too long, with a number where somebody has it.

use super::Change;
use super::context::Context;
use foldhash::HashSet;
use model::{Kind, ObjectRef};

/// The longest name of a Service (RFC 1035).
pub const MAX_NAME: usize = 63;

/// The longest name of objects of other kinds.
const MAX_OBJECT_NAME: usize = 253;
/// Room for a number behind a name.
const NUMBER: usize = 6;

/// A name, or as much of it as there is room for, with a hash of `key`.
pub fn shortened(name: &str, room: usize, key: &str) -> String {
    if name.len() <= room {
        name.to_owned()
    } else {
        with_hash(name, room, key)
    }
}

/// As much of a name as there is room for, with a hash of `key`.
pub fn with_hash(name: &str, room: usize, key: &str) -> String {
    let hash = fnv(key);
    let start: String = name.chars().take(room.saturating_sub(9)).collect();
    format!("{}-{hash:08x}", start.trim_end_matches(['-', '.']))
}

/// FNV-1a with 32 bits: short, and the same in every release.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A name that nothing in the mesh has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeName {
    /// The name.
    pub id: ObjectRef,
    /// The name that it would be, if nothing had that.
    pub instead_of: Option<Box<str>>,
}

/// `base` as far as there is room for it, and then with the numbers from 2 on.
pub fn numbered(namespace: &str, kind: &Kind, base: &str) -> impl Iterator<Item = ObjectRef> {
    let base = shortened(base, MAX_OBJECT_NAME - NUMBER, base);
    let first = id(namespace, kind, &base);
    let numbered = (2..).map(move |number| id(namespace, kind, &format!("{base}-{number}")));
    std::iter::once(first).chain(numbered)
}

/// An object of a namespace.
pub fn id(namespace: &str, kind: &Kind, name: &str) -> ObjectRef {
    ObjectRef {
        namespace: Some(namespace.into()),
        kind: kind.clone(),
        name: name.into(),
    }
}

/// Numbers objects that would be called as an earlier one is. The numbers are those that [`Context::free_name`] gives when
/// the earlier ones are in the mesh, so that a second run finds them.
pub fn make_unique(context: &Context<'_>, changes: &mut [Change]) {
    let mut taken: HashSet<ObjectRef> = HashSet::default();
    let mut repeated = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        if !taken.insert(change.id.clone()) {
            repeated.push(index);
        }
    }
    for index in repeated {
        let Some(change) = changes.get_mut(index) else {
            continue;
        };
        let instead_of = change.instead_of.clone();
        let name = FreeName {
            id: change.id.clone(),
            instead_of,
        };
        let id = untaken(context, &name, &change.from, &mut taken);
        change.rename(id);
    }
}

/// A name that no other new object has, and that an object made from `from` can have; it is taken from then on.
pub fn untaken(
    context: &Context<'_>,
    name: &FreeName,
    from: &ObjectRef,
    taken: &mut HashSet<ObjectRef>,
) -> ObjectRef {
    let mut id = name.id.clone();
    if taken.contains(&id) {
        let namespace = id.namespace.clone().unwrap_or_default();
        let base = name.instead_of.as_deref().unwrap_or(&name.id.name);
        let from = from.to_string();
        let mut candidates = numbered(&namespace, &name.id.kind, base);
        let free = candidates.find(|id| !taken.contains(id) && context.is_free(id, &from));
        id = free.unwrap_or(id);
    }
    taken.insert(id.clone());
    id
}
