//! Names of new objects: with a hash where the whole name would be too long.

/// The longest name of a Service (RFC 1035).
pub const MAX_NAME: usize = 63;

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
    format!("{}-{hash:08x}", start.trim_end_matches('-'))
}

/// FNV-1a with 32 bits: short, and the same in every release.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
