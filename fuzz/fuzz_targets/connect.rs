//! The authority of a CONNECT request, in the first line, and its headers, one a line.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use proxy::hbone::authority::Target;
use proxy::hbone::headers::Told;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|&byte| byte == b'\n');
    let authority = lines.next().unwrap_or_default();
    if let Ok(uri) = Uri::try_from(authority)
        && let Some(authority) = uri.authority()
        && let Some(target) = Target::parse(authority.as_str())
    {
        assert_ne!(target.port(), 0);
        assert_eq!(Target::parse(&target.to_string()), Some(target));
    }
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let name = HeaderName::from_bytes(halves.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(halves.next().unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let told = Told::read(&headers);
    // Written into log lines and labels: no control characters may come from outside.
    assert!(
        told.texts()
            .all(|text| !text.chars().any(char::is_control) && text.len() <= 253)
    );
});
