use crate::agents::backends::eliza::decompose::{Piece, decompose};
use crate::agents::backends::eliza::parse;
use crate::agents::backends::eliza::script::{Reply, SOURCES, script};
use crate::agents::backends::eliza::text::Text;

#[test]
fn every_reply_of_the_script_can_be_given() {
    assert_eq!(parse::parse(SOURCES).err(), None);
    let script = script();
    for key in &script.keys {
        assert!(!key.rules.is_empty());
        for rule in &key.rules {
            assert!(
                !rule.replies.is_empty(),
                "rule {} has no replies",
                rule.number
            );
            for reply in &rule.replies {
                match reply {
                    Reply::Next => {}
                    Reply::Link(heading) => assert!(script.heading(heading).is_some(), "{heading}"),
                    Reply::Say(template) | Reply::SayByName(template) => {
                        assert_template(template, &rule.pattern);
                    }
                }
            }
        }
    }
    for word in &script.words {
        // A replaced word could never be a keyword, and marks of the script are no words.
        assert!(word.instead.is_empty() || word.keys.is_empty() && word.classes == 0);
        assert!(
            !word
                .spelling
                .contains(['?', '*', '$', '@', '{', '}', '[', ']', '<']),
            "{}",
            word.spelling
        );
    }
}

fn assert_template(template: &str, pattern: &[Piece]) {
    assert!(template.ends_with(['.', '?', '!']), "{template}");
    assert!(
        template.starts_with(|c: char| c.is_uppercase() || c == '$'),
        "{template}"
    );
    let mut longest = template.len();
    for mark in template.split('$').skip(1) {
        let number: String = mark.chars().take_while(char::is_ascii_digit).collect();
        let part = number
            .parse::<usize>()
            .ok()
            .and_then(|n| pattern.get(n - 1));
        assert!(part.is_some() || mark.starts_with("name"), "{template}");
        longest += match part {
            Some(Piece::Word(_) | Piece::Either(_) | Piece::Class(_)) => 20,
            _ => 200,
        };
    }
    assert!(longest <= 600, "{template} may get too long");
}

/// A glance at what a pattern needs may let one through that does not fit, but must never keep
/// one out that does.
#[test]
fn whatever_fits_a_pattern_has_what_it_needs() {
    let script = script();
    let rules = || script.keys.iter().flat_map(|key| &key.rules);
    let (mut fitting, mut passed_over) = (0, 0);
    for rule in rules() {
        let statement = example(&rule.pattern);
        let mut text = Text::default();
        text.read(script, &statement);
        for clause in &text.clauses {
            for other in rules() {
                let fits = decompose(&other.pattern, text.words(clause)).is_some();
                let may_fit = other.needs.may_be_met(clause.brief);
                assert!(may_fit || !fits, "rule {} to {statement:?}", other.number);
                fitting += usize::from(fits);
                passed_over += usize::from(!may_fit);
            }
        }
    }
    let tried = script.rules * script.rules;
    assert!(fitting > script.rules / 2, "{fitting}");
    assert!(passed_over > tried / 2, "{passed_over} of {tried}");
}

/// A clause that the pattern fits, unless a word of it begins another clause.
fn example(pattern: &[Piece]) -> String {
    let script = script();
    let words = pattern.iter().map(|piece| match piece {
        Piece::Many(0) => "",
        Piece::Many(_) | Piece::One => "something",
        Piece::Capitalised => "Qux",
        Piece::Number => "7",
        Piece::Ending(ending) => match *ending {
            "s" => "quxes",
            "ed" => "quxed",
            _ => "quxing",
        },
        Piece::Word(word) => script.word(*word).spelling,
        Piece::Either(words) => words.first().map_or("", |word| script.word(*word).spelling),
        Piece::Class(class) => {
            let member = script.words.iter().find(|word| word.is(*class));
            member.map_or("", |word| word.spelling)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
