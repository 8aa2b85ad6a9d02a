//! iceoryx2: publish and subscribe without a copy by the kernel. The subscriber looks for samples without rest.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use sysv_bench::message::Message;
use sysv_bench::ways::{End, Way};

/// A service's name; ports are made in the processes that use them.
pub(crate) struct Service {
    name: ServiceName,
    size: usize,
}

impl Service {
    pub(crate) fn new(size: usize) -> Service {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        set_log_level(LogLevel::Fatal);
        let number = COUNT.fetch_add(1, Relaxed);
        let name = format!("sysv-bench/{}/{number}", std::process::id());
        let name = name.as_str().try_into().expect("a service's name");
        Service { name, size }
    }

    fn open(&self) -> (Node<ipc::Service>, PortFactory<ipc::Service, [u8], ()>) {
        let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
        let service = node.service_builder(&self.name).publish_subscribe::<[u8]>();
        let service = service.open_or_create().expect("a service");
        (node, service)
    }
}

impl Way for Service {
    fn sender(&self) -> End<'_> {
        let (node, service) = self.open();
        let publisher = service.publisher_builder().initial_max_slice_len(self.size);
        let publisher: Publisher<ipc::Service, [u8], ()> = publisher.create().expect("a publisher");
        Box::new(move |message: &mut Message| {
            let _kept = (&node, &service);
            let sample = publisher.loan_slice_uninit(self.size).expect("a sample");
            sample.write_from_slice(message.bytes()).send().expect("sending");
        })
    }

    fn receiver(&self) -> End<'_> {
        let (node, service) = self.open();
        let subscriber: Subscriber<ipc::Service, [u8], ()> =
            service.subscriber_builder().create().expect("a subscriber");
        Box::new(move |message: &mut Message| {
            let _kept = (&node, &service);
            loop {
                if let Some(sample) = subscriber.receive().expect("receiving") {
                    message.bytes_mut().copy_from_slice(&sample);
                    return;
                }
                std::hint::spin_loop();
            }
        })
    }
}
