//! The agent on network namespaces that the tests make. Needs the superuser; says so where it is not to be had.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bed;
mod enrolment;
mod redirection;
