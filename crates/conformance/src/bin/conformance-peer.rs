//! What the conformance suite executes where `execve` is the subject.

fn main() {
    conformance::program::serve();
}
