//! One test for each fact that a page marks *verify*, named by it.

mod taught;
