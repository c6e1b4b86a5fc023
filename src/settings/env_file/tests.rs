//! The expected values are those of npm's `dotenv`; `tests/clients` compares thousands more.

use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// The value of `X`.
fn value(text: &str) -> String {
    let file = EnvFile::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text:?}: {fault}"));
    let values = file.values().filter(|(name, _)| *name == "X");
    let value = values.last().map(|(_, value)| value.to_owned());
    value.unwrap_or_else(|| panic!("{text:?} sets nothing"))
}

fn fault(text: &str) -> EnvFileFault {
    EnvFile::parse(text.as_bytes()).expect_err(text)
}

#[rstest]
// Bare values.
#[case("X=1", "1")]
#[case("X=1\n", "1")]
#[case("X=", "")]
#[case("X=   \n", "")]
#[case("X= a b\tc \n", "a b\tc")]
#[case("X=a=b==", "a=b==")]
#[case("X==a", "=a")]
#[case("X=it's 5\" or `more`", "it's 5\" or `more`")]
#[case("X=$uper", "$uper")]
#[case("X=a$B${C}$(D)\\$E", "a$B${C}$(D)\\$E")]
#[case("X=C:\\new\\run", "C:\\new\\run")]
#[case("X=\u{A0}a\u{FEFF}", "a")]
#[case("X=gr\u{FC}n \u{1F333}", "gr\u{FC}n \u{1F333}")]
// Blanks, names and `export`.
#[case("  X = 1  ", "1")]
#[case("\tX\t=\t1\t", "1")]
#[case("export X=1", "1")]
#[case("  export\t X =1", "1")]
#[case("exportX=0\nX=1", "1")]
#[case("export=0\nexport = 0\nX=1", "1")]
#[case("1a.b-c=0\nX=1", "1")]
// Line ends, and what may begin a file.
#[case("A=0\r\nX=1\r\n", "1")]
#[case("A=0\rX=1\r", "1")]
#[case("\u{FEFF}X=1", "1")]
#[case("\u{FEFF}# X=0\nX=1", "1")]
// Comments.
#[case("# X=0\n  # it's \"X=0\nX=1", "1")]
#[case("X=json  # that's for the log\nA=0", "json")]
#[case("X=a\t#b", "a")]
#[case("X= # none", "")]
#[case("X=a # b # c#d", "a")]
#[case("X='a'#b", "a")]
#[case("X=\"a\" \t# it's \"b\"", "a")]
// The last one counts.
#[case("X=1\nX=2", "2")]
#[case("X=1\nX=", "")]
// Quotes.
#[case("X='a b'", "a b")]
#[case("X= \"a b\" ", "a b")]
#[case("X=`a b`", "a b")]
#[case("X=''", "")]
#[case("X=' a '", " a ")]
#[case("X='a#b'", "a#b")]
#[case("X=\"it's\"", "it's")]
#[case("X='say \"hi\"'", "say \"hi\"")]
#[case("X=`it's \"so\"`", "it's \"so\"")]
#[case("X='$a'", "$a")]
#[case("X=\"a\\nb\\rc\\td\"", "a\nb\rc\\td")]
#[case("X=\"a\\\\nb\"", "a\\\nb")]
#[case("X='a\\nb'", "a\\nb")]
#[case("X=`a\\nb`", "a\\nb")]
#[case("X=\"say \\\"hi\\\"\"", "say \\\"hi\\\"")]
#[case("X='it\\'s'", "it\\'s")]
#[case("X='C:\\dir\\'\nA='b'", "C:\\dir\\")]
#[case("X='C:\\dir\\' # there\n", "C:\\dir\\")]
// Over several lines.
#[case("X='a\nb\n\nc'\nA=0", "a\nb\n\nc")]
#[case("X=\"a\r\nb\"\r\n", "a\nb")]
#[case("X=`a\n# b\nX=0\n` # c", "a\n# b\nX=0\n")]
#[case("X=\"{\n \\\"a\\\": \\\"b\\\"\n}\"", "{\n \\\"a\\\": \\\"b\\\"\n}")]
#[case("X='a\u{2028}b'", "a\u{2028}b")]
fn a_line_gives_exactly_its_value(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(value(text), expected);
}

#[rstest]
#[case("s3cret", FaultKind::NotAnAssignment, None)]
#[case("export", FaultKind::NotAnAssignment, None)]
#[case("export X", FaultKind::NotAnAssignment, None)]
#[case("this is not s3cret = 1", FaultKind::NotAnAssignment, None)]
#[case("s3cr\u{E9}t=1", FaultKind::NotAnAssignment, None)]
#[case("s+3cret=1", FaultKind::NotAnAssignment, None)]
#[case("=s3cret", FaultKind::NotAnAssignment, None)]
#[case("'s3cret'", FaultKind::NotAnAssignment, None)]
#[case("X\n=s3cret", FaultKind::NotAnAssignment, None)]
#[case("X:s3cret", FaultKind::NotAnAssignment, None)]
#[case("X: s3cret", FaultKind::Colon, Some("X"))]
#[case("export X: s3cret", FaultKind::Colon, Some("X"))]
#[case("X:\ns3cret", FaultKind::Colon, Some("X"))]
#[case("X=a#s3cret", FaultKind::HashInValue, Some("X"))]
#[case("X=#s3cret", FaultKind::HashInValue, Some("X"))]
#[case("X=a b#c #s3cret", FaultKind::HashInValue, Some("X"))]
#[case("s3cret-key=#", FaultKind::HashInValue, None)]
#[case("X='s3cret", FaultKind::UnclosedQuote, Some("X"))]
#[case("X='s3cret\nB=2\n# It's", FaultKind::UnclosedQuote, Some("X"))]
#[case("X=\"s3cret\nB=\"a\"\n", FaultKind::UnclosedQuote, Some("X"))]
#[case("X='s3cret's", FaultKind::TextAfterQuote, Some("X"))]
#[case("X='s3cret' 'more'", FaultKind::TextAfterQuote, Some("X"))]
#[case("X='it's s3cret'", FaultKind::TextAfterQuote, Some("X"))]
#[case("X=\"s3cret\"; B=1", FaultKind::TextAfterQuote, Some("X"))]
#[case("X='s3cret\\'\nB=don'", FaultKind::UnclearEnd, Some("X"))]
#[case("X=s3\u{2028}cret", FaultKind::LineSeparator, Some("X"))]
#[case("X='s3cret' #\u{2029}", FaultKind::LineSeparator, Some("X"))]
#[case("# s3cret\u{2028}A=1", FaultKind::LineSeparator, None)]
fn a_line_that_dotenv_would_lose_or_bend_is_refused(
    #[case] text: &str,
    #[case] kind: FaultKind,
    #[case] name: Option<&str>,
) {
    let long = format!("# {}\nA={}\n", "-".repeat(20_000), "x".repeat(20_000));
    for (before, lines) in [
        ("", 0),
        ("\u{FEFF}# A comment\n\nA=1\n", 3),
        ("A='one\ntwo\nthree' # four\r\n", 3),
        (long.as_str(), 2),
    ] {
        for after in ["", "\n", "\r\n"] {
            let fault = fault(&format!("{before}{text}{after}"));
            assert_eq!((fault.kind, fault.line), (kind, lines + 1), "{fault}");
            assert_eq!(fault.name.as_deref(), name);
            let message = fault.to_string();
            assert!(!message.contains("s3cret"), "{message}");
            assert!(message.contains(name.unwrap_or_default()), "{message}");
        }
    }
}

#[rstest]
#[case("X=a#b", "X='a#b'", "a#b")]
#[case("X=a#b", "X=a #b", "a")]
#[case("X: a", "X=a", "a")]
#[case("X='it's'", "X=\"it's\"", "it's")]
#[case("X='a' b", "X=\"'a' b\"", "'a' b")]
#[case("X='a' b", "X='a' # b", "a")]
#[case("X='a\\'\nB=don'", "X=\"a\\\"\nB=don'", "a\\")]
fn the_advice_works(#[case] wrong: &str, #[case] right: &str, #[case] expected: &str) {
    fault(wrong);
    assert_eq!(value(right), expected);
}

#[test]
fn a_file_in_another_encoding_is_refused_with_the_line() {
    let latin = EnvFile::parse(b"A=1\nB=\xe9\n").unwrap_err();
    assert_eq!((latin.line, latin.kind), (2, FaultKind::NotUtf8));
    assert!(latin.to_string().contains("save the file as UTF-8"));
    let utf16 = EnvFile::parse(b"\xFF\xFEA\0=\x001\0").unwrap_err();
    assert_eq!((utf16.line, utf16.kind), (1, FaultKind::NotUtf8));
    let without_mark = EnvFile::parse(b"A\0=\x001\0").unwrap_err();
    assert_eq!(without_mark.kind, FaultKind::NotAnAssignment);
}

#[test]
fn a_path_that_is_not_a_file_is_refused_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    let error = EnvFile::read(directory.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read: is a directory"), "{error}");
    assert!(error.contains("rename it"), "{error}");
    let path = directory.path().join(".env");
    let none = EnvFile::read(&path).unwrap();
    assert_eq!(none.values().count(), 0);
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    let error = EnvFile::read(&path).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    let none = EnvFile::read(Path::new("/dev/null")).unwrap();
    assert_eq!(none.values().count(), 0);
    let error = EnvFile::read(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
}

/// Text that consists mostly of tokens of the grammar.
fn soup() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "X",
        "A=",
        "=",
        "\n",
        "\r\n",
        "\r",
        "'",
        "\"",
        "`",
        "\\",
        "\\'",
        "\\\"",
        "\\n",
        "#",
        " #",
        " ",
        "\t",
        "export ",
        ":",
        ": ",
        "$",
        "${A}",
        "\u{FEFF}",
        "\u{A0}",
        "\u{2028}",
        "\u{E9}",
        "\u{1F600}",
        "\0",
        "a",
        "b c",
    ]);
    let token =
        prop_oneof![8 => tokens.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn nothing_panics(text in soup(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for bytes in [text.as_bytes(), &bytes] {
            if let Err(fault) = EnvFile::parse(bytes) {
                let lines = String::from_utf8_lossy(bytes).split(['\n', '\r']).count();
                prop_assert!((1..=lines).contains(&fault.line), "{fault:?}");
            }
        }
    }

    #[test]
    fn a_quoted_value_is_read_back_exactly(
        name in "[A-Za-z_][A-Za-z0-9_]{0,20}",
        value in soup(),
        quote in prop::sample::select(vec!['\'', '"', '`']),
        blanks in "[ \t]{0,3}",
        comment in prop::sample::select(vec!["", " # it's \"`", "#"]),
    ) {
        // Remove what has another meaning in quotes of this kind.
        let mut value = value.replace([quote, '\r'], "");
        if quote == '"' {
            value = value.replace('\\', "/");
        }
        // A quote after a backslash closes a value only if no later one could.
        let comment = if value.ends_with('\\') { "" } else { comment };
        let line = format!(
            "A=0\n{blanks}export {name}{blanks}={blanks}{quote}{value}{quote}{comment}\nB=1"
        );
        let file = EnvFile::parse(line.as_bytes())
            .map_err(|fault| TestCaseError::fail(format!("{fault}")))?;
        let values: Vec<_> = file.values().collect();
        prop_assert_eq!(values, [("A", "0"), (&*name, &*value), ("B", "1")]);
    }
}
