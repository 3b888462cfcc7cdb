//! Time from text to answer over the size of the mesh: it has to grow with the size, not with its square.

mod mesh;

use divan::Bencher;
use mesh_migrate::convert::{self, convert};
use mesh_migrate::input::Input;
use mesh_migrate::input::files::{Text, read_texts};
use mesh_migrate::plan::{Options, plan};
use mesh_migrate::precheck::{load_rules, precheck};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

fn texts(size: usize) -> [Text; 1] {
    [Text {
        name: "mesh.yaml".into(),
        content: mesh::manifests(size),
    }]
}

fn input(size: usize) -> Input {
    read_texts(&texts(size))
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, size: usize) {
    let texts = texts(size);
    bencher.bench_local(|| read_texts(&texts));
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn run_precheck(bencher: Bencher<'_, '_>, size: usize) {
    let input = input(size);
    let rules = load_rules(&[]).unwrap_or_default();
    bencher.bench_local(|| precheck(&input.mesh, &rules));
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn run_convert(bencher: Bencher<'_, '_>, size: usize) {
    let input = input(size);
    bencher.bench_local(|| convert(&input.mesh, convert::Options::default()));
}

#[divan::bench(args = [200, 2_000], sample_count = 3, sample_size = 1)]
fn run_plan(bencher: Bencher<'_, '_>, size: usize) {
    let input = read_texts(&[Text {
        name: "mesh.yaml".into(),
        content: mesh::movable(size),
    }]);
    bencher.bench_local(|| plan(&input.mesh, &Options::default()));
}
