use super::super::decompose::Piece;
use super::super::parse;
use super::super::script::{Reply, SOURCES, script};

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
                    Reply::Say(template) => assert_template(template, &rule.pattern),
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
