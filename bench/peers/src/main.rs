//! A worker with other people's ways between processes.

#[cfg(boost)]
mod boost;
mod iceoryx;
mod ipc_channel;

use std::process::ExitCode;

use sysv_bench::job::Api;
use sysv_bench::locks::Lock;
use sysv_bench::ways::Way;
use sysv_bench::worker::{self, Supply};

fn way(name: &str, size: usize, _: Api) -> Result<Box<dyn Way>, String> {
    match name {
        "iceoryx2" => Ok(Box::new(iceoryx::Service::new(size))),
        "ipc-channel" => Ok(Box::new(ipc_channel::Channel::new()?)),
        #[cfg(boost)]
        "Boost message queue" => Ok(Box::new(boost::Queue::new(size))),
        #[cfg(boost)]
        "Boost semaphore" => Ok(Box::new(boost::Semaphore::new())),
        _ => Err(missing(name)),
    }
}

fn lock(name: &str, _: Api) -> Result<Box<dyn Lock>, String> {
    match name {
        #[cfg(boost)]
        "Boost mutex" => Ok(Box::new(boost::Mutex::new())),
        _ => Err(missing(name)),
    }
}

fn missing(name: &str) -> String {
    match name.starts_with("Boost") {
        true => format!("{name}: built without Boost.Interprocess (Debian: g++ and libboost-dev)"),
        false => format!("there is nothing called {name:?}"),
    }
}

fn main() -> ExitCode {
    let job = std::env::args().nth(1).unwrap_or_default();
    match worker::serve(&job, &Supply { way, lock }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}
