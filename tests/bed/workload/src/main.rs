//! The workload of the sample mesh.

fn main() {}
