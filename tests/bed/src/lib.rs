//! The test bed as tests see it.
