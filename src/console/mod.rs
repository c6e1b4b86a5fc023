//! The console and the client library: pages, styles and scripts, embedded in the binary.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use rust_embed::Embed;
use sha2::{Digest as _, Sha256};

/// The content security policy of the console: pages load only from this server, have no inline
/// scripts or styles, and never turn text into markup.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'";

/// The path of the page that browsers get for an address without a page.
pub const NOT_FOUND: &str = "/console/404.html";

#[derive(Embed)]
#[folder = "src/console/assets"]
struct Assets;

#[derive(Embed)]
#[folder = "src/console/client"]
struct Modules;

/// A file of the console or of the client library.
#[derive(Debug)]
pub struct File {
    /// The path at which it is served.
    pub path: String,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
    /// The hash of its content.
    pub hash: String,
    /// Whether it belongs to the client library, which pages of any origin may load.
    pub is_module: bool,
}

static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    let pages = Assets::iter().filter_map(|name| {
        Some(File::new(
            path(&name),
            &name,
            Assets::get(&name)?.data,
            false,
        ))
    });
    let modules = Modules::iter().filter_map(|name| {
        Some(File::new(
            format!("/{name}"),
            &name,
            Modules::get(&name)?.data,
            true,
        ))
    });
    let files = pages.chain(modules);
    files.map(|file| (file.path.clone(), file)).collect()
});

impl File {
    fn new(path: String, name: &str, data: Cow<'static, [u8]>, is_module: bool) -> Self {
        let bytes = served(name, data);
        Self {
            path,
            content_type: content_type(name),
            hash: hex::encode(&Sha256::digest(&bytes)[..8]),
            bytes,
            is_module,
        }
    }
}

/// Returns every file.
pub fn files() -> impl Iterator<Item = &'static File> {
    FILES.values()
}

/// Returns the file that is served at a path.
#[must_use]
pub fn file(path: &str) -> Option<&'static File> {
    FILES.get(path)
}

/// Returns what is served of an asset.
fn served(name: &str, data: Cow<'static, [u8]>) -> Cow<'static, [u8]> {
    match (name.rsplit_once('.'), std::str::from_utf8(&data)) {
        (Some((_, "js" | "css")), Ok(text)) => without_comments(text).into_bytes().into(),
        _ => data,
    }
}

/// Returns a script or style without blank lines and comments, which are an eighth of what browsers
/// would load. Only comments that begin a line count, so that no string is mistaken for one.
fn without_comments(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut is_block = false;
    for line in text.lines() {
        let code = line.trim_start();
        is_block |= code.starts_with("/*");
        if !is_block && !code.is_empty() && !code.starts_with("//") {
            result.push_str(line);
            result.push('\n');
        }
        is_block &= !code.ends_with("*/");
    }
    result
}

fn path(name: &str) -> String {
    match name {
        "index.html" => "/".to_owned(),
        "docs.html" => "/docs".to_owned(),
        _ => format!("/console/{name}"),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "ts")) => "text/plain; charset=utf-8",
        _ => "text/html; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn references_resolve_and_nothing_is_inline() {
        for file in files().filter(|file| !file.is_module) {
            let text = std::str::from_utf8(&file.bytes).unwrap();
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

    /// Only the panel of the reference sends requests itself, since it shows responses as they are.
    /// The snippets are examples of calls.
    #[test]
    fn calls_go_through_the_client_library() {
        let calls = |file: &&File| String::from_utf8_lossy(&file.bytes).contains(" fetch(");
        let mut calling: Vec<_> = files()
            .filter(|file| !file.is_module)
            .filter(calls)
            .map(|file| file.path.as_str())
            .collect();
        calling.sort_unstable();
        assert_eq!(calling, ["/console/exchange.js", "/console/snippets.js"]);
    }

    /// The limit, in bytes, of both pages with their scripts and styles.
    const MAX_COMPRESSED: usize = 60_000;

    #[test]
    fn the_pages_are_small() {
        let mut names: Vec<_> = Assets::iter().collect();
        names.sort();
        let bytes: Vec<_> = names
            .iter()
            .flat_map(|name| file(&path(name)).unwrap().bytes.iter().copied())
            .collect();
        let size = compressed(&bytes);
        assert!(size <= MAX_COMPRESSED, "{size} bytes");
    }

    /// The limit, in bytes, of the client library without its types.
    const MAX_COMPRESSED_CLIENT: usize = 10_000;

    #[test]
    fn the_client_library_is_small_and_loads_nothing() {
        let client = file("/client.js").unwrap();
        let size = compressed(&client.bytes);
        assert!(size <= MAX_COMPRESSED_CLIENT, "{size} bytes");
        let text = std::str::from_utf8(&client.bytes).unwrap();
        let imports = text.lines().filter(|line| line.contains("import"));
        assert_eq!(imports.count(), 0);
    }

    #[test]
    fn the_types_keep_their_comments() {
        for path in ["/client.d.ts", "/chat-transport.d.ts"] {
            let text = std::str::from_utf8(&file(path).unwrap().bytes).unwrap();
            assert!(text.contains("/**"), "{path}");
        }
    }

    fn compressed(bytes: &[u8]) -> usize {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap().len()
    }

    #[test]
    fn only_comments_are_left_out() {
        let script = "// One.\nlet a = '// 1';\n\n  /** Two,\n   * three. */\n  a(); // stays\n/* Four. */\n";
        let expected = "let a = '// 1';\n  a(); // stays\n";
        assert_eq!(without_comments(script), expected);
    }

    #[test]
    fn every_asset_is_served() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console");
        let count = |name| {
            std::fs::read_dir(format!("{source}/{name}"))
                .unwrap()
                .count()
        };
        let advice = "after adding a file, touch this one so that cargo rebuilds it";
        assert_eq!(
            count("assets") + count("client"),
            files().count(),
            "{advice}"
        );
    }

    #[test]
    fn pages_have_no_inline_script_or_style() {
        for path in ["/", "/docs", NOT_FOUND] {
            let file = file(path).unwrap();
            let text = std::str::from_utf8(&file.bytes).unwrap();
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

    /// Returns references of the forms `"/console/…"` and `'./…'`.
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
