//! Runs the cases of a test: sets their seed, their number, and their time limit.
//!
//! Invariant: a case runs alone, on one thread and in paused time. So the input of the case determines everything that
//! happens.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc;
use std::time::Duration;

/// The seed of a run for which `PROPTEST_RNG_SEED` is not set.
const SEED: u64 = 4;

/// The longest wall-clock time of one case. In paused time, waiting takes no wall-clock time, so a case that exceeds
/// this limit loops without end.
const CASE_MAX: Duration = Duration::from_secs(30);

/// The most steps, and the most milliseconds, in which a failing input is shrunk.
const SHRINKS_MAX: u32 = 20_000;
const SHRINK_MS: u32 = 60_000;

/// Runs a test on `cases` random inputs, or on the number in `PROPTEST_CASES`.
pub(crate) fn check<S>(cases: u32, inputs: &S, test: impl Fn(S::Value))
where
    S: Strategy,
{
    let chosen = Config::default();
    let is_long_run = std::env::var_os("PROPTEST_CASES").is_some();
    let rng_seed = match chosen.rng_seed {
        RngSeed::Random if is_long_run => RngSeed::Fixed(RandomState::new().hash_one("seed")),
        RngSeed::Random => RngSeed::Fixed(SEED),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    let config = Config {
        cases: if is_long_run { chosen.cases } else { cases },
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: SHRINKS_MAX,
        max_shrink_time: SHRINK_MS,
        ..chosen
    };
    println!("{} cases from seed {rng_seed}", config.cases);
    let tested = TestRunner::new(config).run(inputs, |input| {
        test(input);
        Ok(())
    });
    if let Err(failure) = tested {
        panic!("seed {rng_seed}: {failure}");
    }
}

/// Runs one case in paused time. Fails if the case takes longer than [`CASE_MAX`].
pub(crate) fn in_paused_time<F>(case: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let (done, outcome) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(case());
        drop(runtime);
        done.send(()).unwrap();
    });
    if outcome.recv_timeout(CASE_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("the case spins: a task never waits");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
