//! HBONE: TCP in HTTP/2 CONNECT in mutual TLS.

pub mod authority;
pub mod headers;
pub mod nested;
pub mod pool;
