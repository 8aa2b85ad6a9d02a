//! Many random cases, and the cases that were kept.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::action::{Act, Action};
use super::case::Case;
use super::generate::{Cast, USERS, generate};
use super::play::{Finding, Play};
use super::random::Random;
use super::shrink::shrink;
use crate::child::Child;
use crate::program::Executable;
use crate::subject::{Facility, Subject};
use crate::trial;
use crate::user::User;

/// Steps of one case.
const LENGTH: usize = 400;

/// How long a failing case may be shrunk.
const SHRINKING: Duration = Duration::from_secs(60);

/// What is done to the facilities before a play; nothing, but in tests of the campaign itself.
type Distortion = Box<dyn Fn(&mut [Subject; 2])>;

/// What campaigns are about.
pub trait Matter {
    /// What workers do.
    type Action: Act;

    /// How the files of kept cases end.
    const SUFFIX: &str;

    /// A random case of `length` steps.
    fn generate(random: &mut Random, length: usize, cast: &Cast) -> Case<Self::Action>;

    /// Plays a case, in a process of its own, on two fresh facilities. Returns how many calls it took.
    ///
    /// # Errors
    /// The first difference.
    fn play(
        subjects: [Subject; 2],
        first_keys: [i32; 2],
        executable: Option<Executable>,
        case: &Case<Self::Action>,
    ) -> Result<u64, Finding>;
}

/// Campaigns about segments.
pub struct Memory;

impl Matter for Memory {
    type Action = Action;
    const SUFFIX: &str = "steps";

    fn generate(random: &mut Random, length: usize, cast: &Cast) -> Case {
        generate(random, length, cast)
    }

    fn play(
        subjects: [Subject; 2],
        first_keys: [i32; 2],
        executable: Option<Executable>,
        case: &Case,
    ) -> Result<u64, Finding> {
        Play::new(subjects, first_keys, executable).play(case)
    }
}

/// The kernel against another facility.
pub struct Campaign<'s, M> {
    subject: &'s Subject,
    other: Facility,
    program: Option<PathBuf>,
    distort: Distortion,
    plays: std::cell::Cell<u32>,
    matter: PhantomData<M>,
}

impl<'s, M: Matter> Campaign<'s, M> {
    /// A campaign in the test of `subject`, which must be the kernel's. Workers execute `program`.
    pub fn new(subject: &'s Subject, other: Facility, program: &str) -> Campaign<'s, M> {
        let program = Some(PathBuf::from(program));
        Campaign {
            subject,
            other,
            program,
            distort: Box::new(|_| ()),
            plays: 0.into(),
            matter: PhantomData,
        }
    }

    /// A campaign of the kernel against itself, with the second side changed. Workers execute nothing.
    #[cfg(test)]
    pub(crate) fn against_distorted(
        subject: &'s Subject,
        distort: Option<impl Fn(&mut [Subject; 2]) + 'static>,
    ) -> Self {
        let mut campaign = Campaign::new(subject, Facility::Kernel, "");
        campaign.program = None;
        if let Some(distort) = distort {
            campaign.distort = Box::new(distort);
        }
        campaign
    }

    fn cast(&self) -> Cast {
        let several = User::can_be_changed() && self.other != Facility::EnginePrivate;
        Cast {
            users: if several { USERS } else { &USERS[..1] },
            executable: self.program.is_some(),
            limits: User::can_be_changed(),
        }
    }

    /// Plays random cases until there have been so many calls.
    ///
    /// # Panics
    /// At the first difference, with the shrunk case.
    pub fn run(&self, calls: u64) {
        let seed = match std::env::var("SYSV_DIFFERENTIAL_SEED") {
            Ok(seed) => seed.parse().expect("SYSV_DIFFERENTIAL_SEED is a number"),
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("after 1970")
                .as_nanos() as u64,
        };
        let begin = Instant::now();
        let (mut done, mut cases) = (0, 0);
        while done < calls {
            let case = self.case(seed.wrapping_add(cases));
            match self.play(&case) {
                Ok(more) => done += more,
                Err(finding) => panic!("{}", self.report(seed.wrapping_add(cases), &case, &finding)),
            }
            cases += 1;
        }
        trial::note(&format!(
            "{done} calls in {cases} cases from seed {seed} on, {:?}: no difference to {:?}",
            begin.elapsed(),
            self.other
        ));
    }

    fn case(&self, seed: u64) -> Case<M::Action> {
        M::generate(&mut Random::new(seed), LENGTH, &self.cast())
    }

    /// The number of steps of the shrunk first case, from `seed` on, in which a difference shows; `None` if there
    /// is none in `cases` cases.
    #[cfg(test)]
    pub(crate) fn smallest(&self, seed: u64, cases: u64) -> Option<Case<M::Action>> {
        let found = (0..cases)
            .map(|case| self.case(seed + case))
            .find(|case| self.play(case).is_err())?;
        Some(shrink(&found, SHRINKING, |case| self.play(case).is_err()))
    }

    /// Plays one case in a process of its own.
    pub fn play(&self, case: &Case<M::Action>) -> Result<u64, Finding> {
        let number = self.plays.replace(self.plays.get() + 1);
        let mut driver = Child::fork(|test| {
            let mut subjects = self.subject.pair(self.other, &format!("play-{number}"));
            let executable = self.program.as_ref().map(Executable::open);
            // Far enough apart that neither reaches the other's keys.
            let first = subjects[0].key() & !0xfff;
            (self.distort)(&mut subjects);
            let outcome = M::play(subjects, [first, first ^ 0x800], executable, case);
            test.send(&outcome);
        });
        let outcome = driver.try_receive();
        let ending = driver.wait();
        self.subject.remove_pair(&format!("play-{number}"));
        outcome.unwrap_or_else(|| {
            Err(Finding {
                step: 0,
                what: format!("the driver itself: {ending:?}"),
            })
        })
    }

    /// What to tell of a difference; a case that shows it again is shrunk and kept.
    fn report(&self, seed: u64, case: &Case<M::Action>, finding: &Finding) -> String {
        let whole = format!("SYSV_DIFFERENTIAL_SEED={seed} plays the whole case first");
        trial::note(&format!(
            "seed {seed}, after step {}: {}; shrinking",
            finding.step, finding.what
        ));
        let shrunk = shrink(case, SHRINKING, |case| self.play(case).is_err());
        let Err(again) = self.play(&shrunk) else {
            return format!(
                "step {}: {}\nplayed again, it shows no difference; {whole}",
                finding.step, finding.what
            );
        };
        let text = format!(
            "# {:?}, seed {seed}, after step {}: {}\n{shrunk}",
            self.other,
            again.step,
            again.what.replace('\n', "\n# ")
        );
        let file = keeping_place().join(format!("{:?}-{seed}.{}", self.other, M::SUFFIX).to_lowercase());
        let kept = match std::fs::write(&file, &text) {
            Ok(()) => format!("kept in {}", file.display()),
            Err(error) => format!("{} cannot be written: {error}", file.display()),
        };
        format!("{text}{kept}; {whole}")
    }
}

/// Where cases that found something are kept.
fn keeping_place() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/regressions"))
}

/// The cases that once found a difference, by file name.
pub fn kept_cases<M: Matter>() -> Vec<(String, Case<M::Action>)> {
    let mut cases: Vec<(String, Case<M::Action>)> = std::fs::read_dir(keeping_place())
        .expect("the directory of kept cases")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == M::SUFFIX))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a kept case");
            let case = text
                .parse()
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_name().expect("a name").to_string_lossy().into_owned(), case)
        })
        .collect();
    cases.sort_by(|(one, _), (other, _)| one.cmp(other));
    cases
}
