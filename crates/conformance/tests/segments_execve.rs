//! What a new program keeps of the old one's attachments: nothing; and what a program keeps that closes all
//! descriptors: everything.

use conformance::process::{close_all_descriptors, execute_nothing, idle};
use conformance::program::{Executable, Program};
use conformance::{Child, Subject, clock};
use sysv_engine::Errno;
use sysv_engine::abi::PAGE_SIZE;

conformance::on_each_facility! {
    execve_detaches,
    an_executed_program_attaches_for_itself,
    an_executed_program_that_dies_is_not_counted,
    a_failed_execve_leaves_everything_attached,
    a_spawned_program_inherits_nothing,
    what_an_executed_program_created_outlives_it,
    a_program_that_closes_all_descriptors_stays_attached,
    a_program_that_closes_all_descriptors_goes_on_using_the_facility,
    a_program_that_closes_all_descriptors_is_not_counted_once_dead,
    a_child_of_a_program_that_closed_all_descriptors_counts,
}

fn executable() -> Executable {
    Executable::open(env!("CARGO_BIN_EXE_conformance-peer"))
}

fn execve_detaches(subject: &Subject) {
    let executable = executable();
    let segment = subject.segment(1);
    let _inherited = segment.attach();
    clock::next_second();
    let before = clock::now();
    let mut program = Program::start(subject, &executable, || {
        segment.attach().leak();
        assert_eq!(segment.nattch(), 3);
    });
    let ds = segment.stat();
    assert_eq!((ds.nattch, ds.lpid), (1, program.process().pid()));
    assert!((before..=clock::now()).contains(&ds.dtime));
    assert_eq!(program.stat(segment.id()), Ok(ds));
    program.finish();
    assert_eq!(segment.stat(), ds);
}

fn an_executed_program_attaches_for_itself(subject: &Subject) {
    let executable = executable();
    let segment = subject.segment(1);
    let mut program = Program::start(subject, &executable, || segment.attach().write("for my successor"));
    let address = program.attach(segment.id()).unwrap();
    assert_eq!(program.load(address), b'f');
    program.store(address);
    assert_eq!(segment.attach().load(0), 1);
    let ds = segment.stat();
    assert_eq!((ds.nattch, ds.lpid), (1, std::process::id() as i32));
    assert_eq!(program.detach(address), Ok(()));
    assert_eq!(program.detach(address), Err(Errno::EINVAL));
    assert_eq!((segment.nattch(), segment.stat().lpid), (0, program.process().pid()));
    program.attach(segment.id()).unwrap();
    program.finish();
    assert_eq!(segment.nattch(), 0);
}

fn an_executed_program_that_dies_is_not_counted(subject: &Subject) {
    let executable = executable();
    let segment = subject.segment(1);
    let mut program = Program::start(subject, &executable, || {
        segment.attach().leak();
    });
    program.attach(segment.id()).unwrap();
    program.attach(segment.id()).unwrap();
    assert_eq!(segment.nattch(), 2);
    program.process().kill_to_zombie();
    assert_eq!(segment.nattch(), 0);
}

fn a_failed_execve_leaves_everything_attached(subject: &Subject) {
    let segment = subject.segment(1);
    let _inherited = segment.attach();
    let mut child = Child::fork(|parent| {
        let own = segment.attach();
        assert!(execute_nothing());
        own.write("still here");
        parent.send(&segment.nattch());
        parent.receive::<()>();
    });
    assert_eq!(child.receive::<u64>(), 3);
    assert_eq!(segment.nattch(), 3);
    assert!(segment.attach().reads("still here"));
    child.kill();
    assert_eq!(segment.nattch(), 1);
}

fn a_spawned_program_inherits_nothing(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    let before = segment.stat();
    // The standard library uses posix_spawn(3), whose child borrows the parent's memory until it executes.
    let mut cat = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("cat");
    assert_eq!(segment.nattch(), 1);
    drop(cat.stdin.take());
    assert!(cat.wait().expect("cat").success());
    let after = segment.stat();
    assert_eq!((after.nattch, after.dtime), (1, before.dtime));
    attachment.store(0, 1);
}

fn what_an_executed_program_created_outlives_it(subject: &Subject) {
    let executable = executable();
    let mut program = Program::start(subject, &executable, || ());
    let pid = program.process().pid();
    let segment = subject.guard(program.create(100).unwrap(), 0);
    let address = program.attach(segment.id()).unwrap();
    program.store(address);
    program.finish();
    let ds = segment.stat();
    assert_eq!((ds.cpid, ds.lpid, ds.nattch, ds.segsz), (pid, pid, 0, 100));
    assert_eq!(segment.attach().load(0), 1);
}

fn a_program_that_closes_all_descriptors_stays_attached(subject: &Subject) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let attachment = segment.attach();
        close_all_descriptors(parent);
        attachment.write("closed");
        idle(parent);
    });
    child.arrived();
    assert_eq!(segment.nattch(), 1);
    assert!(segment.attach().reads("closed"));
    child.proceed();
    child.finish();
    assert_eq!(segment.nattch(), 0);
}

fn a_program_that_closes_all_descriptors_goes_on_using_the_facility(subject: &Subject) {
    let segment = subject.segment(1);
    let inherited = segment.attach();
    let mut child = Child::fork(|parent| {
        close_all_descriptors(parent);
        let own = segment.attach();
        let made = subject.segment(PAGE_SIZE);
        made.attach().write("anew");
        let works = made.attach().reads("anew");
        subject.detach_at(inherited.address()).unwrap();
        // Descriptors that the program opens now get the numbers of those that were closed.
        let null = std::fs::File::open("/dev/null").unwrap();
        let again = segment.attach();
        parent.send(&(works, segment.nattch()));
        idle(parent);
        drop((own, again, null));
    });
    assert_eq!(child.receive::<(bool, u64)>(), (true, 3));
    child.arrived();
    assert_eq!(segment.nattch(), 3);
    child.proceed();
    child.finish();
    assert_eq!(segment.nattch(), 1);
}

fn a_program_that_closes_all_descriptors_is_not_counted_once_dead(subject: &Subject) {
    let segment = subject.segment(1);
    let _inherited = segment.attach();
    let mut child = Child::fork(|parent| {
        let _early = segment.attach();
        close_all_descriptors(parent);
        let _late = segment.attach();
        idle(parent);
    });
    child.arrived();
    assert_eq!(segment.nattch(), 4);
    child.kill();
    assert_eq!(segment.nattch(), 1);
}

fn a_child_of_a_program_that_closed_all_descriptors_counts(subject: &Subject) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _attachment = segment.attach();
        close_all_descriptors(parent);
        let mut grandchild = Child::fork(idle);
        grandchild.arrived();
        parent.send(&segment.nattch());
        grandchild.kill();
        parent.send(&segment.nattch());
        parent.receive::<()>();
    });
    assert_eq!(child.receive::<u64>(), 2);
    assert_eq!(child.receive::<u64>(), 1);
    assert_eq!(segment.nattch(), 1);
    child.kill();
    assert_eq!(segment.nattch(), 0);
}
