//! `mesh-proxy node`: the layer-4 proxy of a node, in the place of ztunnel.

use proxy::config::{Config, Environment};
use proxy::telemetry::format;
use proxy::{admin, node};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

const USAGE: &str = "usage: mesh-proxy node | --version

node   the layer-4 proxy of a node; its settings are the environment variables of ztunnel
       (`proxy ztunnel`, as ztunnel's manifests have it, means the same)";

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "before there is a log")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["node"] | ["proxy", "ztunnel"] => {}
        ["--version" | "version", ..] => {
            println!("mesh-proxy {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    let names: Vec<_> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    let find = |name: &str| std::env::var(name).ok();
    let result = Config::read(&Environment(&find), &names)
        .map_err(|error| error.to_string())
        .and_then(|config| run(config).map_err(|error| error.to_string()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> std::io::Result<()> {
    let reload = start_log(&config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        node::run(config, reload, stop).await
    })
}

fn start_log(config: &Config) -> admin::Reload {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    if config.log_json {
        registry.with(fmt::layer().event_format(format::Json)).init();
    } else {
        registry.with(fmt::layer().event_format(format::Plain)).init();
    }
    Arc::new(move |text| {
        let filter = EnvFilter::try_new(text).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    })
}
