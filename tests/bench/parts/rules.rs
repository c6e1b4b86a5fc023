//! The rules of the domain.

use divan::Bencher;
use divan::black_box;
use sessiond::domain::session::Session;
use sessiond::domain::time::{Millis, TimeScale};
use sessiond::domain::timeout::TimeoutOverrides;

use crate::samples::{NOW, POLICY, new_session, session};

#[divan::bench]
fn create(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(|| new_session(POLICY.defaults))
        .bench_values(|new| Session::create(new, NOW, TimeScale::REAL));
}

#[divan::bench]
fn renew(bencher: Bencher<'_, '_>) {
    let later = NOW + Millis(1000);
    bencher
        .with_inputs(session)
        .bench_refs(|session| session.renew(later, TimeScale::REAL).is_ok());
}

#[divan::bench]
fn patch() -> bool {
    let patch = TimeoutOverrides {
        timeout_minutes: Some(60.0),
        auto_renew: Some(false),
        ..TimeoutOverrides::default()
    };
    black_box(POLICY)
        .patch(black_box(POLICY.defaults), black_box(patch))
        .is_ok()
}

#[divan::bench]
fn resolve() -> u32 {
    let none = TimeoutOverrides::default();
    black_box(POLICY)
        .resolve(black_box(none), black_box(none))
        .timeout_minutes
}
