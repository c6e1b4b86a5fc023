//! The console: a page, its styles and its scripts, in the binary as they are in the folder.

mod files;

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// What a browser may do with the console's pages: load what this server has, and no more. There
/// is no inline script or style, and nothing turns text into markup.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'";

/// A file of the console.
#[derive(Debug)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
    /// Changes when its content does.
    pub etag: String,
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let file = |&(path, bytes): &(&'static str, &'static [u8])| File {
        path,
        content_type: content_type(path),
        bytes,
        etag: etag(bytes),
    };
    files::FILES.iter().map(file).collect()
});

/// Every file.
#[must_use]
pub fn files() -> &'static [File] {
    &FILES
}

/// The file of a path, if there is one.
#[must_use]
pub fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    }
}

fn etag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let start: [u8; 8] = std::array::from_fn(|index| digest[index]);
    format!("\"{:016x}\"", u64::from_be_bytes(start))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn whatever_a_file_refers_to_is_there_and_nothing_is_inline() {
        for file in files() {
            let text = std::str::from_utf8(file.bytes).unwrap();
            for foreign in ["http://", "https://", "//cdn"] {
                let found = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!found.contains(foreign), "{}: {foreign}", file.path);
            }
            for markup in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!text.contains(markup), "{}: {markup}", file.path);
            }
            for reference in references(text) {
                assert!(
                    super::file(&reference).is_some(),
                    "{} refers to {reference}",
                    file.path
                );
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/assets");
        let there = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(there, files().len());
        let paths: HashSet<_> = files().iter().map(|file| file.path).collect();
        assert_eq!(paths.len(), files().len());
    }

    #[test]
    fn pages_have_no_inline_script_or_style() {
        for file in files()
            .iter()
            .filter(|file| file.content_type.starts_with("text/html"))
        {
            let text = std::str::from_utf8(file.bytes).unwrap();
            assert!(!text.contains("style="), "{}", file.path);
            assert!(!text.contains("<style"), "{}", file.path);
            for script in text.split("<script").skip(1) {
                let (tag, rest) = script.split_once('>').unwrap();
                assert!(
                    tag.contains("src=") && rest.starts_with("</script>"),
                    "{}",
                    file.path
                );
            }
        }
    }

    /// What is written as `"/console/…"` or `'./…'`.
    fn references(text: &str) -> Vec<String> {
        let absolute = text
            .split(['"', '\''])
            .filter(|part| part.starts_with("/console/"));
        let relative = text
            .split(['"', '\''])
            .filter_map(|part| part.strip_prefix("./"))
            .map(|name| format!("/console/{name}"));
        absolute.map(str::to_owned).chain(relative).collect()
    }
}
