//! `SEM_UNDO`, and what deaths leave behind.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use conformance::process::{die_of, exit_at_once, exit_in_order, pause};
use conformance::program::{Executable, Program};
use conformance::semaphores::{Set, Sets, sembuf};
use conformance::{By, Child, Ending, Subject};
use sysv_engine::Errno;
use sysv_engine::abi::{IPC_NOWAIT, SEM_UNDO, SEMVMX};

conformance::on_each_facility! {
    every_kind_of_end_undoes,
    an_undo_lets_a_waiter_go,
    a_waiter_goes_on_soon_after_a_death,
    undo_never_passes_zero_or_the_maximum,
    undo_counts_as_an_operation_of_the_dead,
    setval_and_setall_forget_undo,
    an_adjustment_has_bounds,
    what_is_given_back_is_not_undone,
    operations_without_undo_are_not_undone,
    a_forked_child_owes_nothing,
    a_forked_child_owes_what_it_does_itself,
    threads_owe_together,
    a_served_waiters_undo_is_its_own,
    a_death_is_seen_by_a_request_that_does_not_wait,
    a_debt_to_a_removed_set_is_forgotten,
    debts_to_many_semaphores_are_all_paid,
    a_death_may_make_a_wait_impossible,
    undo_outlives_execve,
    an_executed_program_gives_back_what_its_predecessor_took,
    an_executed_program_adds_to_its_predecessors_undo,
    undo_outlives_one_execve_after_another,
    a_waiter_goes_on_when_an_executed_program_dies,
    sigkill_at_any_moment_loses_no_unit,
    philosophers_may_die,
}

/// A child that takes what `flags` say and tells when it has.
fn holding(set: &Set<'_>, num: u16, op: i16) -> Child {
    let mut child = Child::fork(|parent| {
        set.add_with(num, op, SEM_UNDO).unwrap();
        parent.send(&());
        parent.receive::<()>();
    });
    child.arrived();
    child
}

fn every_kind_of_end_undoes(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [1, 20] {
        let set = sets.set(nsems);
        set.set_value(0, 2).unwrap();
        let ends: [(fn(), Ending); 4] = [
            (|| exit_at_once(0), Ending::Exited(0)),
            (|| exit_in_order(), Ending::Exited(0)),
            (|| die_of(libc::SIGKILL), Ending::Killed(libc::SIGKILL)),
            (|| die_of(libc::SIGTERM), Ending::Killed(libc::SIGTERM)),
        ];
        for (end, ending) in ends {
            let mut child = Child::fork(|_| {
                set.add_with(0, -2, SEM_UNDO).unwrap();
                end();
            });
            assert_eq!(child.wait(), ending);
            assert_eq!((set.value(0), set.pid(0)), (2, child.pid()));
        }
    }
}

fn an_undo_lets_a_waiter_go(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 1).unwrap();
    let mut holder = holding(&set, 0, -1);
    let mut waiter = Child::fork(|parent| parent.send(&set.add(0, -1)));
    set.await_waiting(0, (1, 0));
    holder.kill();
    assert_eq!(waiter.receive::<Result<(), Errno>>(), Ok(()));
    assert_eq!(set.value(0), 0);
}

fn a_waiter_goes_on_soon_after_a_death(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 1).unwrap();
    let mut latencies = Vec::new();
    for _ in 0..9 {
        let mut holder = holding(&set, 0, -1);
        let mut waiter = Child::fork(|parent| parent.send(&set.add_with(0, -1, SEM_UNDO)));
        set.await_waiting(0, (1, 0));
        pause(30_000);
        let start = Instant::now();
        holder.kill();
        assert_eq!(waiter.receive::<Result<(), Errno>>(), Ok(()));
        latencies.push(start.elapsed());
        waiter.wait();
    }
    latencies.sort();
    // The median, so that a busy machine does not fail it.
    assert!(latencies[4] < Duration::from_millis(50), "{latencies:?}");
}

fn undo_never_passes_zero_or_the_maximum(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut giver = holding(&set, 0, 5);
    set.add(0, -3).unwrap();
    giver.kill();
    assert_eq!(set.value(0), 0);
    set.set_value(0, 5).unwrap();
    let mut taker = holding(&set, 0, -5);
    set.add(0, SEMVMX as i16 - 2).unwrap();
    taker.kill();
    assert_eq!(set.value(0), SEMVMX);
}

fn undo_counts_as_an_operation_of_the_dead(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut giver = holding(&set, 0, 1);
    set.add(0, 1).unwrap();
    assert_eq!(set.pid(0), std::process::id() as i32);
    giver.kill();
    assert_eq!((set.pid(0), set.value(0)), (giver.pid(), 1));
}

fn setval_and_setall_forget_undo(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    let mut first = holding(&set, 0, 3);
    let mut second = holding(&set, 1, 3);
    set.set_value(0, 7).unwrap();
    first.kill();
    assert_eq!(set.values(), [7, 3]);
    set.set_values(&[1, 1]).unwrap();
    second.kill();
    assert_eq!(set.values(), [1, 1]);
}

fn an_adjustment_has_bounds(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut child = Child::fork(|parent| {
        let mut results = Vec::new();
        set.add_with(0, SEMVMX as i16, SEM_UNDO).unwrap();
        set.add(0, -SEMVMX as i16).unwrap();
        results.push(set.add_with(0, 1, SEM_UNDO).is_ok());
        set.add(0, -1).unwrap();
        results.push(set.add_with(0, 1, SEM_UNDO) == Err(Errno::ERANGE));
        results.push(set.value(0) == 0);
        parent.send(&results);
    });
    assert_eq!(child.receive::<Vec<bool>>(), [true, true, true]);
    child.finish();
    assert_eq!(set.value(0), 0);
}

fn what_is_given_back_is_not_undone(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 4).unwrap();
    Child::fork(|_| {
        set.add_with(0, -3, SEM_UNDO).unwrap();
        set.add_with(0, 2, SEM_UNDO).unwrap();
    })
    .finish();
    assert_eq!(set.value(0), 4);
    Child::fork(|_| {
        set.add_with(0, -3, SEM_UNDO).unwrap();
        set.add_with(0, 3, SEM_UNDO).unwrap();
    })
    .finish();
    assert_eq!(set.value(0), 4);
}

fn operations_without_undo_are_not_undone(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    Child::fork(|_| {
        set.op(&[sembuf(0, 3, 0), sembuf(1, 3, SEM_UNDO), sembuf(0, 1, SEM_UNDO)])
            .unwrap()
    })
    .finish();
    assert_eq!(set.values(), [3, 0]);
}

fn a_forked_child_owes_nothing(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut parent_of_child = Child::fork(|test| {
        set.add_with(0, 2, SEM_UNDO).unwrap();
        for by in [By::Fork, By::BareFork] {
            let mut child = Child::fork_by(by, |_| {
                assert_eq!(set.value(0), 2);
            });
            assert_eq!(child.wait(), Ending::Exited(0));
        }
        test.send(&());
        test.receive::<()>();
    });
    parent_of_child.arrived();
    assert_eq!(set.value(0), 2);
    parent_of_child.kill();
    assert_eq!(set.value(0), 0);
}

fn a_forked_child_owes_what_it_does_itself(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.add_with(0, 2, SEM_UNDO).unwrap();
    for by in [By::Fork, By::BareFork] {
        let mut child = Child::fork_by(by, |_| {
            set.add_with(0, 5, SEM_UNDO).unwrap();
            assert_eq!(set.value(0), 7);
        });
        assert_eq!(child.wait(), Ending::Exited(0));
        assert_eq!(set.value(0), 2);
    }
}

fn threads_owe_together(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut child = Child::fork(|parent| {
        std::thread::scope(|scope| {
            scope.spawn(|| set.add_with(0, 3, SEM_UNDO).unwrap());
        });
        // The thread is gone, its process is not.
        parent.send(&set.value(0));
        set.add_with(0, -1, SEM_UNDO).unwrap();
        parent.send(&());
        parent.receive::<()>();
    });
    assert_eq!(child.receive::<i32>(), 3);
    child.arrived();
    assert_eq!(set.value(0), 2);
    child.kill();
    assert_eq!(set.value(0), 0);
}

fn a_served_waiters_undo_is_its_own(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    let mut waiter = Child::fork(|parent| {
        set.op(&[sembuf(0, -1, SEM_UNDO), sembuf(1, 1, SEM_UNDO)]).unwrap();
        parent.send(&());
        parent.receive::<()>();
    });
    set.await_waiting(0, (1, 0));
    set.add(0, 1).unwrap();
    assert_eq!(set.values(), [0, 1]);
    waiter.arrived();
    waiter.kill();
    assert_eq!((set.values(), set.pid(1)), (vec![1, 0], waiter.pid()));
}

fn a_death_is_seen_by_a_request_that_does_not_wait(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.set_value(0, 1).unwrap();
    for _ in 0..10 {
        let mut holder = holding(&set, 0, -1);
        assert_eq!(set.add_with(0, -1, IPC_NOWAIT), Err(Errno::EAGAIN));
        holder.kill_to_zombie();
        assert_eq!(set.add_with(0, -1, IPC_NOWAIT), Ok(()));
        set.add(0, 1).unwrap();
        let mut giver = holding(&set, 1, 1);
        giver.kill();
        assert_eq!(set.add_with(1, -1, IPC_NOWAIT), Err(Errno::EAGAIN));
    }
}

fn a_debt_to_a_removed_set_is_forgotten(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut giver = holding(&set, 0, 1);
    set.remove().unwrap();
    let next = sets.set(1);
    next.set_value(0, 9).unwrap();
    giver.kill();
    assert_eq!(next.value(0), 9);
}

fn debts_to_many_semaphores_are_all_paid(subject: &Subject) {
    let sets = Sets::of(subject);
    let large = sets.set(400);
    let small: Vec<Set<'_>> = (0..20).map(|_| sets.set(2)).collect();
    let mut child = Child::fork(|parent| {
        for num in 0..400 {
            large.add_with(num, 1 + num as i16, SEM_UNDO).unwrap();
        }
        for set in &small {
            set.op(&[sembuf(0, 2, SEM_UNDO), sembuf(1, 3, SEM_UNDO)]).unwrap();
        }
        parent.send(&());
        parent.receive::<()>();
    });
    child.arrived();
    child.kill();
    assert!(large.values().iter().all(|&value| value == 0));
    assert!(small.iter().all(|set| set.values() == [0, 0]));
}

fn sigkill_at_any_moment_loses_no_unit(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [2, 40] {
        let set = sets.set(nsems);
        set.set_values(&vec![2; nsems as usize]).unwrap();
        for round in 0..150u64 {
            let mut workers: Vec<Child> = (0..3)
                .map(|_| {
                    Child::fork(|_| {
                        loop {
                            set.add_with(0, -1, SEM_UNDO).unwrap();
                            set.op(&[sembuf(0, 1, SEM_UNDO), sembuf(1, -1, SEM_UNDO)]).unwrap();
                            set.add_with(1, 1, SEM_UNDO).unwrap();
                        }
                    })
                })
                .collect();
            pause(300 + round * 37 % 3000);
            for worker in &mut workers {
                worker.kill();
            }
            assert_eq!(set.values()[..2], [2, 2], "after round {round}");
            assert_eq!((set.waiting(0), set.waiting(1)), ((0, 0), (0, 0)));
        }
    }
}

fn philosophers_may_die(subject: &Subject) {
    const SEATS: u16 = 5;
    let sets = Sets::of(subject);
    // A fork between every two, and how many eat.
    let set = sets.set(i32::from(SEATS) + 1);
    let mut values = vec![1; usize::from(SEATS) + 1];
    values[usize::from(SEATS)] = 0;
    set.set_values(&values).unwrap();
    let sit = |seat: u16| {
        let set = &set;
        Child::fork(move |_| {
            let (left, right) = (seat, (seat + 1) % SEATS);
            for meal in 0.. {
                set.op(&[
                    sembuf(left, -1, SEM_UNDO),
                    sembuf(right, -1, SEM_UNDO),
                    sembuf(SEATS, 1, SEM_UNDO),
                ])
                .unwrap();
                if meal % 8 == 0 {
                    pause(20);
                }
                set.op(&[
                    sembuf(left, 1, SEM_UNDO),
                    sembuf(right, 1, SEM_UNDO),
                    sembuf(SEATS, -1, SEM_UNDO),
                ])
                .unwrap();
            }
        })
    };
    let mut table: Vec<Child> = (0..SEATS).map(sit).collect();
    let mut random = 12345u32;
    for _ in 0..300 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        pause(u64::from(random >> 21));
        let seat = (random >> 16) as usize % table.len();
        table[seat].kill();
        assert!(set.value(i32::from(SEATS)) <= 2, "at most two of five can eat");
        table[seat] = sit(seat as u16);
    }
    for philosopher in &mut table {
        philosopher.kill();
    }
    assert_eq!(set.values(), values);
}

/// Also where the wait is for another semaphore than the one that the dead process's undo changes.
fn a_death_may_make_a_wait_impossible(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.set_values(&[0, SEMVMX as u16]).unwrap();
    for (change, errno) in [
        (sembuf(1, 1, 0), Errno::ERANGE),
        (sembuf(1, 0, IPC_NOWAIT), Errno::EAGAIN),
    ] {
        // What the undo makes of it: too much for one more, or no longer zero.
        let taken = if change.op == 0 { -(SEMVMX as i16) } else { -1 };
        let mut holder = holding(&set, 1, taken);
        let mut waiter = Child::fork(|parent| parent.send(&set.op(&[change, sembuf(0, -1, 0)])));
        set.await_waiting(0, (1, 0));
        pause(60_000);
        holder.kill();
        assert_eq!(waiter.receive::<Result<(), Errno>>(), Err(errno));
        assert_eq!(set.values(), [0, SEMVMX as u16]);
    }
}

/// A process that does one operation with undo and then executes a program that knows the facility.
fn executed_after(subject: &Subject, set: &Set<'_>, num: u16, op: i16) -> Program {
    let executable = Executable::open(env!("CARGO_BIN_EXE_conformance-peer"));
    Program::start(subject, &executable, || set.add_with(num, op, SEM_UNDO).unwrap())
}

/// "The semadj value is preserved across an execve(2)": semop(2), and whatever the program knows of semaphores.
fn undo_outlives_execve(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 1).unwrap();
    let mut asleep = Child::fork(|_| {
        set.add_with(0, -1, SEM_UNDO).unwrap();
        let error = Command::new("sleep").arg("1000").exec();
        panic!("sleep: {error}");
    });
    let command = format!("/proc/{}/comm", asleep.pid());
    while std::fs::read_to_string(&command).unwrap() != "sleep\n" {
        pause(100);
    }
    // Newcomers, failures and reports all look for the dead.
    for _ in 0..3 {
        let mut newcomer = Child::fork(|parent| parent.send(&set.add_with(0, -1, IPC_NOWAIT)));
        assert_eq!(newcomer.receive::<Result<(), Errno>>(), Err(Errno::EAGAIN));
        assert_eq!((set.value(0), set.pid(0)), (0, asleep.pid()));
    }
    asleep.kill();
    assert_eq!(set.value(0), 1);
}

fn an_executed_program_gives_back_what_its_predecessor_took(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 1).unwrap();
    let mut program = executed_after(subject, &set, 0, -1);
    assert_eq!(set.value(0), 0);
    assert_eq!(program.operate(set.id, sembuf(0, 1, SEM_UNDO)), Ok(()));
    // Another has it now, and keeps it when the program ends.
    set.add(0, -1).unwrap();
    program.finish();
    assert_eq!(set.value(0), 0);
}

fn an_executed_program_adds_to_its_predecessors_undo(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.set_values(&[5, 5]).unwrap();
    let mut program = executed_after(subject, &set, 0, -1);
    assert_eq!(program.operate(set.id, sembuf(1, -3, SEM_UNDO)), Ok(()));
    assert_eq!(program.operate(set.id, sembuf(0, -1, SEM_UNDO)), Ok(()));
    assert_eq!(set.values(), [3, 2]);
    program.process().kill();
    assert_eq!(set.values(), [5, 5]);
}

fn undo_outlives_one_execve_after_another(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.set_values(&[5, 5]).unwrap();
    let executable = Executable::open(env!("CARGO_BIN_EXE_conformance-peer"));
    let child = Child::fork(|channel| {
        set.add_with(0, -1, SEM_UNDO).unwrap();
        executable.run_through_shell(subject, channel)
    });
    let mut program = Program::in_place_of(child);
    assert_eq!(set.values(), [4, 5]);
    assert_eq!(program.operate(set.id, sembuf(1, -1, SEM_UNDO)), Ok(()));
    assert_eq!(set.values(), [4, 4]);
    program.finish();
    assert_eq!(set.values(), [5, 5]);
}

fn a_waiter_goes_on_when_an_executed_program_dies(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 1).unwrap();
    let mut program = executed_after(subject, &set, 0, -1);
    let mut waiter = Child::fork(|parent| parent.send(&set.add(0, -1)));
    set.await_waiting(0, (1, 0));
    pause(200_000);
    assert_eq!(set.waiting(0), (1, 0));
    program.process().kill();
    assert_eq!(waiter.receive::<Result<(), Errno>>(), Ok(()));
}
