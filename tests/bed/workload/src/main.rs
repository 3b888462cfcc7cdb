//! The program in every pod of the bed: a server that answers with what it saw, a client for one request, and a
//! load generator that counts every request.
//!
//! It is linked statically, so its image holds nothing else; names are resolved by a resolver of its own,
//! because glibc's does not work in a static program.

mod client;
mod connect;
mod grpc;
mod load;
mod serve;
mod tcp;

use clap::{Parser, Subcommand};
use client::Request;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The workload of the test bed.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer with what was seen, until told to end.
    Serve(serve::Settings),
    /// One HTTP request, or several alike, one after the other.
    Get {
        /// An absolute URL of the scheme `http`.
        url: String,
        /// A header, `name: value`.
        #[arg(short = 'H', long = "header")]
        headers: Vec<String>,
        /// The method.
        #[arg(long, default_value = "GET")]
        method: String,
        /// Speak HTTP/2 with prior knowledge.
        #[arg(long)]
        http2: bool,
        /// How many.
        #[arg(long, default_value_t = 1)]
        repeat: u32,
    },
    /// One call of gRPC.
    Grpc {
        /// `host:port`.
        target: String,
    },
    /// One line over TCP, and its echo.
    Tcp {
        /// `host:port`.
        target: String,
        /// What is sent.
        line: String,
    },
    /// One message over a websocket, and its echo.
    Ws {
        /// An absolute URL of the scheme `ws`.
        url: String,
    },
    /// Send what a file says, and count.
    Load {
        /// Streams of requests, in JSON.
        file: PathBuf,
        /// Where the counts are asked for.
        #[arg(long, default_value_t = 8081)]
        control: u16,
        /// How long, in seconds; without it, until told to end.
        #[arg(long)]
        duration: Option<u64>,
        /// A folder for a file of what was counted, by the name of the pod.
        #[arg(long)]
        journal: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(settings) => serve::serve(&settings).await,
        Command::Get {
            url,
            headers,
            method,
            http2,
            repeat,
        } => get(&url, &headers, &method, http2, repeat).await,
        Command::Grpc { target } => {
            print(&outcome(grpc::call(&target, &[]).await));
            Ok(())
        }
        Command::Tcp { target, line } => {
            print(&outcome(tcp::ask(&target, &line).await));
            Ok(())
        }
        Command::Ws { url } => {
            print(&outcome(client::websocket(&url, &[], "hello").await));
            Ok(())
        }
        Command::Load {
            file,
            control,
            duration,
            journal,
        } => {
            let duration = duration.map(Duration::from_secs);
            load::run(&file, control, duration, journal.as_deref()).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&json!({"error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

/// Requests that fail are answers too: the exit status says only whether they could be made.
async fn get(
    url: &str,
    headers: &[String],
    method: &str,
    http2: bool,
    repeat: u32,
) -> Result<(), connect::Failure> {
    let request = Request::parse(url, headers, method, http2)?;
    for _ in 0..repeat {
        print(&outcome(client::send(&request).await));
    }
    Ok(())
}

fn outcome(answer: Result<Value, connect::Failure>) -> Value {
    answer.unwrap_or_else(|error| json!({"error": error.to_string()}))
}

/// One line of JSON for each answer, report or failure.
#[expect(clippy::print_stdout, reason = "the answer of the program")]
pub(crate) fn print(value: &Value) {
    println!("{value}");
}
