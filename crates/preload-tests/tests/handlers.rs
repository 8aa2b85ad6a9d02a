//! Programs with signal handlers of their own see them called as on the kernel, and bad pointers are `EFAULT` all the same.

use sysv_preload_tests::{Program, assert_same};

/// Tests by the modes of `c/handlers.c`; `died` names the signal of which the program must have died on the kernel, or 0.
macro_rules! programs {
    ($($name:ident: $mode:literal, died $signal:expr;)*) => {$(
        #[test]
        fn $name() {
            let outcome = assert_same(&Program::compile("handlers"), $mode);
            assert_eq!(outcome.signal.unwrap_or(0), $signal, "{outcome:?}");
        }
    )*};
}

const SEGV: i32 = 11;
const BUS: i32 = 7;
const USR1: i32 = 10;

programs! {
    a_program_without_a_handler_dies_of_its_own_fault: "none_fault", died SEGV;
    a_program_without_a_handler_dies_of_a_signal_that_is_sent: "none_kill", died SEGV;
    a_program_without_a_handler_dies_of_a_bus_error_that_is_raised: "none_raise_bus", died BUS;
    a_program_without_a_handler_dies_of_an_address_that_cannot_be: "none_noncanonical", died SEGV;
    a_signal_that_was_blocked_kills_when_it_is_let_in: "none_blocked_sent", died SEGV;
    a_program_without_a_handler_dies_of_a_stack_overflow: "none_overflow", died SEGV;
    a_handler_is_called_for_the_programs_own_faults: "own_handler", died 0;
    a_handler_set_before_the_first_call_is_called: "handler_first", died 0;
    a_handler_of_the_plain_kind_is_called_and_taken_away: "plain_handler", died SEGV;
    handlers_are_told_who_sent_the_signal: "sent", died 0;
    a_handler_on_an_alternate_stack_survives_a_stack_overflow: "stack_overflow", died 0;
    a_run_times_handler_and_the_one_it_chains_to_are_called: "chained", died 0;
    the_action_before_the_first_handler_is_the_default: "chained_to_default", died SEGV;
    a_crash_reporter_that_raises_again_dies_of_its_signal: "crash_raise", died SEGV;
    a_crash_reporter_that_returns_dies_of_its_signal: "crash_return", died SEGV;
    a_crash_reporter_that_runs_once_dies_of_its_signal: "crash_reset_hand", died SEGV;
    a_handler_that_runs_once_is_reset: "reset_hand", died USR1;
    an_ignored_signal_stays_ignored_through_exec: "ignored", died 0;
    a_handled_signal_is_reset_by_exec: "handled_then_exec", died 0;
    every_function_that_sets_an_action_keeps_its_meaning: "every_setter", died 0;
    a_thread_with_the_signals_blocked_gets_efault: "masked", died SEGV;
    a_blocked_signal_waits_through_bad_pointers: "masked_and_sent", died 0;
    a_program_started_with_the_signals_blocked_gets_efault: "masked_from_the_start", died 0;
    a_handler_that_passes_a_bad_pointer_gets_efault: "in_handler", died 0;
    a_truncated_file_is_efault_or_the_programs_bus_error: "bus", died BUS;
    a_vfork_child_does_not_take_its_parents_handlers_away: "vfork_child_resets", died 0;
    a_forked_child_has_its_parents_handlers: "fork_child", died 0;
    threads_may_set_actions_while_others_pass_bad_pointers: "racing", died 0;
    a_handler_may_call_the_facility_in_the_middle_of_a_call: "reentered", died 0;
    a_handler_may_leave_in_the_middle_of_a_call: "left", died 0;
    system_calls_are_interrupted_or_restarted_as_asked: "interrupted", died 0;
}
