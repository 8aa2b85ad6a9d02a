//! Processes that are there and do nothing.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::system::{self, Words};

/// They end when this is dropped.
pub(crate) struct Bystanders {
    children: Vec<libc::pid_t>,
}

impl Bystanders {
    /// Nobody.
    pub(crate) fn none() -> Bystanders {
        Bystanders { children: Vec::new() }
    }

    /// So many, each of which has done `act`, or is about to and then waits in it.
    pub(crate) fn new(count: usize, act: impl Fn()) -> Bystanders {
        let there = Words::new(1);
        let body = || {
            there[0].fetch_add(1, SeqCst);
            act();
            loop {
                std::thread::sleep(Duration::from_secs(3600));
            }
        };
        let children = (0..count).map(|_| system::fork(body)).collect();
        while there[0].load(SeqCst) < count as u64 {
            std::thread::sleep(Duration::from_micros(100));
        }
        // Time to do it.
        std::thread::sleep(Duration::from_millis(20));
        Bystanders { children }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        self.children.iter().for_each(|child| system::kill(*child));
    }
}
