//! What routes and policies mean.
