//! Errors keep the facility's errno, tell apart what it means, and name object and remedy.

use std::error::Error;
use std::io;

use sysv::{
    AccessError, Address, AttachError, Errno, GetError, Id, Intent, Key, Mode, Namespace, NewSegment, Permissions,
    Segment, SetError, StatError, TemporaryNamespace,
};

fn with_limits(shmmax: u64, shmmni: u64) -> TemporaryNamespace {
    let namespace = TemporaryNamespace::create().unwrap();
    let mut limits = namespace.limits().unwrap();
    (limits.shmmax, limits.shmmni) = (shmmax, shmmni);
    namespace.set_limits(&limits).unwrap();
    namespace
}

fn create(namespace: &Namespace, key: i32, size: usize) -> Result<Segment, GetError> {
    Segment::create(namespace, Key::new(key), NewSegment::of_size(size))
}

#[test]
fn each_way_shmget_fails_has_its_own_variant_and_keeps_its_errno() {
    let namespace = with_limits(1 << 20, 2);
    create(&namespace, 1, 100).unwrap();

    let cases: [(Result<Segment, GetError>, Errno, &str); 7] = [
        (
            Segment::open(&namespace, Key::new(2)),
            Errno::ENOENT,
            "the segment with key 0x00000002 of namespace",
        ),
        (
            Segment::open(&namespace, Key::PRIVATE),
            Errno::ENOENT,
            "the new private segment of namespace",
        ),
        (
            create(&namespace, 1, 100),
            Errno::EEXIST,
            "segment with key 0x00000001 of namespace",
        ),
        (
            Segment::get(&namespace, Key::new(1), Intent::Open { at_least: 101 }),
            Errno::EINVAL,
            "is smaller than 101 bytes",
        ),
        (create(&namespace, 2, 0), Errno::EINVAL, "the smallest segment has 1"),
        (
            create(&namespace, 2, (1 << 20) + 1),
            Errno::EINVAL,
            "the limit shmmax is 1048576",
        ),
        (
            Segment::open_or_create(&namespace, Key::new(1), NewSegment::of_size(1 << 21)),
            Errno::EINVAL,
            "is smaller than 2097152 bytes",
        ),
    ];
    for (result, errno, text) in cases {
        let error = result.unwrap_err();
        assert_eq!(error.errno(), errno, "{error:?}");
        assert!(error.to_string().contains(text), "{error} does not say: {text}");
    }

    create(&namespace, 2, 1).unwrap();
    let full = create(&namespace, 3, 1).unwrap_err();
    assert!(matches!(full, GetError::TooMany { shmmni: 2, .. }), "{full:?}");
    assert_eq!(full.errno(), Errno::ENOSPC);
    let directory = namespace.location().directory().unwrap().display().to_string();
    let remedy = format!("sysv limits --namespace {directory} shmmni=NUMBER");
    assert!(full.to_string().contains(&remedy), "{full}");
}

#[test]
fn the_kernels_errors_are_told_apart_alike() {
    let kernel = Namespace::kernel();
    let one = Segment::create(&kernel, Key::PRIVATE, NewSegment::of_size(100))
        .unwrap()
        .into_temporary();

    let zero = create(&kernel, 0, 0).unwrap_err();
    assert!(matches!(zero, GetError::Size { wanted: 0, .. }), "{zero:?}");
    let missing = Segment::open(&kernel, Key::new(0x7ead_beef)).unwrap_err();
    assert!(matches!(missing, GetError::NotFound { .. }), "{missing:?}");
    assert!(missing.to_string().contains("of the kernel's facility"), "{missing}");

    let memory = one.attach().unwrap();
    let taken = memory.as_ptr().addr().get();
    assert!(matches!(
        one.attach_at(Address::Exact(taken)),
        Err(AttachError::Occupied { .. })
    ));
    assert!(matches!(
        one.attach_at(Address::Exact(taken + 1)),
        Err(AttachError::Misaligned { .. })
    ));
    assert!(matches!(
        one.attach_at(Address::RoundedDown(taken + 1)),
        Err(AttachError::Occupied { .. })
    ));
}

#[test]
fn address_zero_is_an_address_and_not_any() {
    let namespace = TemporaryNamespace::create().unwrap();
    let segment = create(&namespace, 1, 100).unwrap();
    for address in [Address::Exact(0), Address::RoundedDown(0), Address::RoundedDown(4095)] {
        let error = segment.attach_at(address).unwrap_err();
        assert!(matches!(error, AttachError::Misaligned { .. }), "{error:?}");
        assert!(segment.attach_read_only_at(address).is_err());
    }
    assert_eq!(segment.stat().unwrap().attachments, 0);
}

#[test]
fn a_stale_identifier_is_gone_and_names_nobody_else() {
    for namespace in [&*TemporaryNamespace::create().unwrap(), &Namespace::kernel()] {
        let stale = create(namespace, 0, 100).unwrap();
        stale.remove().unwrap();
        let next = create(namespace, 0, 100).unwrap().into_temporary();
        assert_ne!(stale.id(), next.id());
        assert!(matches!(stale.stat(), Err(StatError::Gone { .. })));
        let permissions = Permissions {
            owner: 0,
            group: 0,
            mode: Mode::OWNER,
        };
        assert!(matches!(stale.set_permissions(permissions), Err(SetError::Gone { .. })));
        let error = stale.attach().unwrap_err();
        assert!(matches!(error, AttachError::Gone { .. }));
        assert!(matches!(error.errno(), Errno::EINVAL | Errno::EIDRM));
        assert!(Segment::from_id(namespace, Id::new(-1)).stat().is_err());
    }
}

#[test]
fn an_io_error_keeps_the_whole_error() {
    let namespace = TemporaryNamespace::create().unwrap();
    let error = Segment::open(&namespace, Key::new(1)).unwrap_err();
    let io = io::Error::from(error.clone());
    assert_eq!(io.kind(), io::ErrorKind::NotFound);
    let inner = io.get_ref().and_then(|e| e.downcast_ref::<GetError>());
    assert_eq!(inner, Some(&error));
    assert_eq!(inner.unwrap().errno(), Errno::from(error));

    let access: Box<dyn Error> = Box::new(io::Error::from(AccessErrorOf::bounds(&namespace)));
    assert!(
        access.to_string().contains("reach beyond the segment's 8 bytes"),
        "{access}"
    );
}

struct AccessErrorOf;

impl AccessErrorOf {
    fn bounds(namespace: &Namespace) -> AccessError {
        let segment = create(namespace, 0, 8).unwrap();
        segment.attach().unwrap().read::<[u8; 9]>(0).unwrap_err()
    }
}

#[test]
fn every_access_is_checked_to_the_byte() {
    let namespace = TemporaryNamespace::create().unwrap();
    let memory = create(&namespace, 0, 100).unwrap().attach().unwrap();
    let full = [7u8; 100];
    memory.copy_in(0, &full).unwrap();
    assert_eq!(memory.to_vec(0..100).unwrap(), full);
    assert_eq!(memory.to_vec(100..100).unwrap(), []);
    memory.copy_in(100, &[]).unwrap();

    let outside = |result: Result<(), AccessError>| {
        assert!(
            matches!(result, Err(AccessError::OutOfBounds { size: 100, .. })),
            "{result:?}"
        );
    };
    outside(memory.copy_in(1, &full));
    outside(memory.copy_in(101, &[]));
    outside(memory.copy_in(usize::MAX, &[1]));
    outside(memory.copy_out(99, &mut [0; 2]));
    outside(memory.copy_out(usize::MAX - 1, &mut [0; 4]));
    outside(memory.fill(99..101, 0));
    #[expect(clippy::reversed_empty_ranges, reason = "what must be refused")]
    outside(memory.fill(50..49, 0));
    outside(memory.write(93, &0u64));
    outside(memory.read::<u64>(93).map(drop));
    outside(memory.atomic::<std::sync::atomic::AtomicU64>(96).map(drop));
    outside(
        memory
            .load::<std::sync::atomic::AtomicU8>(100, std::sync::atomic::Ordering::Relaxed)
            .map(drop),
    );
    assert_eq!(memory.to_vec(0..100).unwrap(), full, "a refused access writes nothing");
}
