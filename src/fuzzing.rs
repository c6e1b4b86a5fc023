//! Where bytes of strangers come in: entry points for fuzzers, and for the tests that replay what
//! they found. Each must return, whatever it is given.

use std::path::Path;

use crate::agents::character::Character;
use crate::archive;
use crate::domain::time::Timestamp;

/// Stored records of every kind.
pub fn record(data: &[u8]) {
    crate::store::fuzzing::record(data);
}

/// The bodies of requests.
pub fn body(data: &[u8]) {
    crate::api::fuzzing::body(data);
}

/// Query strings.
pub fn query(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::api::fuzzing::query(text);
    }
}

/// What sockets send: the name of an event, a line's end, and its payload.
pub fn frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (event, payload) = text.split_once('\n').unwrap_or(("message", text));
    if let Ok(payload) = serde_json::from_str(payload) {
        crate::realtime::fuzzing::frame(event, payload);
    }
}

/// Character files.
pub fn character(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(character) = Character::parse(Path::new("fuzz.json"), text, Timestamp(0)) {
        let _ = character.bio_line();
    }
}

/// Lines that are imported. What is read of one is written as a line that reads the same.
pub fn line(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(item) = archive::parse(text) {
        let line = archive::line(&item);
        assert_eq!(archive::parse(line.trim_end()).as_ref(), Ok(&item));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::collection::vec;
    use proptest::prelude::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 6] = [
        ("record", super::record),
        ("body", super::body),
        ("query", super::query),
        ("frame", super::frame),
        ("character", super::character),
        ("line", super::line),
    ];

    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");
        let entries = fs::read_dir(format!("{directory}/{target}")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let inputs: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(!inputs.is_empty(), "nothing to begin with for {target}");
        inputs
    }

    /// A change of an input: a place, and what to do there.
    type Edit = (u16, u8, Vec<u8>);

    fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
        for (place, what, more) in edits {
            let at = usize::from(*place) % (bytes.len() + 1);
            let end = (at + more.len()).min(bytes.len());
            match what % 4 {
                0 => drop(bytes.splice(at..at, more.iter().copied())),
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..end, more.iter().copied())),
                _ => {
                    let again = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, again));
                }
            }
        }
        bytes
    }

    #[test]
    fn what_fuzzers_began_with_and_found_is_read_without_harm() {
        for (name, target) in TARGETS {
            for input in corpus(name) {
                target(&input);
            }
        }
    }

    fn cases() -> ProptestConfig {
        match std::env::var_os("PROPTEST_CASES") {
            Some(_) => ProptestConfig::default(),
            None => ProptestConfig::with_cases(500),
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..300)) {
            for (_, target) in TARGETS {
                target(&bytes);
            }
        }

        #[test]
        fn no_change_of_what_is_known_does_harm(
            choice in any::<prop::sample::Index>(),
            edits in vec((any::<u16>(), any::<u8>(), vec(any::<u8>(), 0..6)), 1..6),
            words in vec(
                (any::<u16>(), Just(0_u8), prop::sample::select(vec![
                    b"null".to_vec(), b"-1e309".to_vec(), b"\\u0000".to_vec(), b"[[[[".to_vec(),
                    b"\"\":{}".to_vec(), "\u{1f600}".as_bytes().to_vec(), b"18446744073709551616".to_vec(),
                ])),
                0..3,
            ),
        ) {
            for (name, target) in TARGETS {
                let corpus = corpus(name);
                let input = choice.get(&corpus).clone();
                target(&edited(input.clone(), &edits));
                target(&edited(input, &words));
            }
        }
    }
}
