//! The structure of the crate, checked on its parsed sources: layers, libraries, cycles and names.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The top-level modules, lowest first. A module imports only from the floors below its own.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["clock", "events", "json"],
    &["metrics"],
    &["telemetry"],
    &["message_json", "process", "session_json"],
    &["archive"],
    &["store"],
    &["agents"],
    &["auth"],
    &["app", "connections"],
    &[
        "client_events",
        "console",
        "janitor",
        "metrics_sampler",
        "scheduled_backups",
        "space",
        "verification",
    ],
    &["api"],
    &["realtime"],
    &["transport"],
    &["settings"],
    &["server"],
    &["cli"],
];

/// The libraries whose use is restricted to some modules.
const LIBRARIES: &[(&str, Knows)] = &[
    ("redb", Knows::Only(&["store"])),
    ("bincode", Knows::Only(&["store"])),
    ("clap", Knows::Only(&["cli", "settings"])),
    (
        "axum",
        Knows::Not(&[
            "agents",
            "app",
            "clock",
            "connections",
            "domain",
            "events",
            "json",
            "store",
        ]),
    ),
    (
        "hyper",
        Knows::Only(&["agents", "api", "cli", "realtime", "transport"]),
    ),
    ("engineioxide", Knows::Only(&["realtime"])),
    ("prometheus_client", Knows::Only(&["metrics", "domain"])),
    ("serde_json", Knows::Not(&["app", "domain"])),
    ("tokio", Knows::Not(&["domain"])),
    ("tracing", Knows::Not(&["domain"])),
];

/// The modules that may use a library.
enum Knows {
    /// Only these.
    Only(&'static [&'static str]),
    /// All but these.
    Not(&'static [&'static str]),
}

/// A path of names, such as `crate::store::Store` without the `crate`.
type Names = Vec<String>;

/// A source file, without its tests.
struct Source {
    /// Its path below `src`.
    file: String,
    /// The path of its module, such as `store::read`.
    module: Names,
    /// The paths that its code imports or names.
    paths: BTreeSet<Names>,
    /// The names that it imports, with their paths.
    imports: BTreeMap<String, Names>,
    /// The names of `imports` that it only passes on.
    reexports: BTreeSet<String>,
    /// The types that it declares for other files.
    types: Vec<String>,
}

impl Source {
    /// Returns the name of the top-level module that the file belongs to.
    fn top(&self) -> &str {
        &self.module[0]
    }

    /// Returns the paths that the code depends on: all but those that it only passes on.
    fn dependencies(&self) -> impl Iterator<Item = &[String]> {
        let only_passed_on: BTreeSet<&Names> = self
            .reexports
            .iter()
            .filter_map(|name| self.imports.get(name))
            .collect();
        inside(&self.paths).filter(move |path| {
            !only_passed_on
                .iter()
                .any(|passed_on| passed_on[1..] == **path)
        })
    }
}

#[test]
fn modules_import_only_from_the_floors_below() {
    let sources = sources();
    let mut faults = Vec::new();
    assert!(sources.len() > 100, "the sources are not found");
    for source in &sources {
        let floor = floor(source.top());
        for imported in inside(&source.paths).map(|path| &path[0]) {
            if imported != source.top() && self::floor(imported) >= floor {
                faults.push(format!("src/{} imports crate::{imported}", source.file));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_map_in_lib_rs_lists_every_module_floor_by_floor() {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let map = text.lines().filter_map(|line| line.strip_prefix("//! - "));
    let mapped: Vec<Vec<String>> = map
        .map(|line| {
            let names = line.split(':').next().unwrap_or_default();
            let names = names.split(", ");
            names
                .map(|name| name.trim_matches(['[', ']', '`']).to_owned())
                .collect()
        })
        .collect();
    assert_eq!(mapped, FLOORS);
}

#[test]
fn libraries_are_used_only_where_they_may_be() {
    let mut faults = Vec::new();
    for source in sources() {
        for (library, knows) in LIBRARIES {
            let may = match knows {
                Knows::Only(modules) => modules.contains(&source.top()),
                Knows::Not(modules) => !modules.contains(&source.top()),
            };
            if !may && source.paths.iter().any(|path| path[0] == *library) {
                faults.push(format!("src/{} uses {library}", source.file));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn files_do_not_import_each_other_in_cycles() {
    let sources = sources();
    let by_module: BTreeMap<&[String], &Source> = sources
        .iter()
        .map(|source| (&*source.module, source))
        .collect();
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        let declaring = source
            .dependencies()
            .filter_map(|path| declaring_file(path, &by_module));
        let others = declaring.filter(|file| *file != source.file);
        imports.entry(&source.file).or_default().extend(others);
    }
    let cycles: BTreeSet<String> = sources
        .iter()
        .filter_map(|source| shortest_cycle(&source.file, &imports))
        .collect();
    assert!(cycles.is_empty(), "{cycles:#?}");
}

#[test]
fn the_domain_never_reads_the_clock_or_draws_random_ids() {
    let calls = [
        ["Utc", "now"],
        ["SystemTime", "now"],
        ["Instant", "now"],
        ["Uuid", "new_v4"],
        ["Uuid", "now_v7"],
    ];
    for source in sources().iter().filter(|it| it.top() == "domain") {
        for path in &source.paths {
            let call = calls
                .iter()
                .find(|call| path.ends_with(&call.map(str::to_owned)));
            assert!(call.is_none(), "src/{}: {call:?}", source.file);
        }
    }
}

#[test]
fn types_that_files_share_have_names_of_their_own() {
    let mut declared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        // What clients see may be named like what it shows.
        if !source.file.starts_with("api/dto") {
            for name in source.types {
                declared.entry(name).or_default().push(source.file.clone());
            }
        }
    }
    declared.retain(|_, files| files.len() > 1);
    assert!(declared.is_empty(), "{declared:#?}");
}

#[test]
fn files_of_a_directory_have_names_more_than_a_letter_apart() {
    let mut sources = sources();
    sources.retain(|source| !source.file.ends_with("mod.rs"));
    for (at, one) in sources.iter().enumerate() {
        for other in &sources[at + 1..] {
            let ((one, parent), (other, others)) = (
                one.module.split_last().unwrap(),
                other.module.split_last().unwrap(),
            );
            let is_near = parent == others && one != other && is_one_letter_apart(one, other);
            assert!(!is_near, "src/{}: {one} and {other}", parent.join("/"));
        }
    }
}

/// Returns whether one word becomes the other by a letter that is added or changed.
fn is_one_letter_apart(one: &str, other: &str) -> bool {
    let same = |(a, b): &(u8, u8)| a == b;
    let start = one.bytes().zip(other.bytes()).take_while(same).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.bytes().rev().zip(other.bytes().rev());
    let end = end.take_while(same).count();
    one.len().max(other.len()) - end <= 1
}

/// Returns the floor of a top-level module.
///
/// # Panics
///
/// Panics when [`FLOORS`] does not have the module.
fn floor(module: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&module));
    floor.unwrap_or_else(|| panic!("{module} has no floor: give it one"))
}

/// Returns the paths that begin with a module of this crate, without the `crate`.
fn inside(paths: &BTreeSet<Names>) -> impl Iterator<Item = &[String]> {
    let own = paths.iter().filter(|path| path[0] == "crate");
    own.map(|path| &path[1..]).filter(|path| !path.is_empty())
}

/// Returns the file that declares what a path names, whichever files re-export it.
fn declaring_file<'a>(
    path: &[String],
    by_module: &BTreeMap<&[String], &'a Source>,
) -> Option<&'a str> {
    let mut path = path.to_vec();
    // A chain of re-exports is short, but a mistake could make it a circle.
    for _ in 0..8 {
        let (length, source) = (1..=path.len())
            .rev()
            .find_map(|length| Some((length, *by_module.get(&path[..length])?)))?;
        let import = path.get(length).and_then(|name| source.imports.get(name));
        let Some(import) = import.filter(|import| import[0] == "crate") else {
            return Some(&source.file);
        };
        path = [&import[1..], &path[length + 1..]].concat();
    }
    None
}

/// Returns the shortest way from a file through its imports back to itself, if there is one.
fn shortest_cycle(start: &str, imports: &BTreeMap<&str, BTreeSet<&str>>) -> Option<String> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for &next in &imports[way[way.len() - 1]] {
            if next == start {
                return Some(rotated(way).join(" -> "));
            }
            if seen.insert(next) {
                ways.push_back([&*way, &[next]].concat());
            }
        }
    }
    None
}

/// Returns a cycle from its first file in the alphabet on, so that each is reported once.
fn rotated(mut cycle: Vec<&str>) -> Vec<&str> {
    let first = (0..cycle.len()).min_by_key(|&at| cycle[at]).unwrap_or(0);
    cycle.rotate_left(first);
    cycle
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Parses the sources of the crate, except those of tests and fuzzers.
fn sources() -> Vec<Source> {
    let root = root();
    let files: Vec<(String, Names)> = files(&root)
        .iter()
        .filter_map(|file| {
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
            let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
            let module: Names = path.split('/').map(str::to_owned).collect();
            let is_other = ["tests", "fuzzing", "lib", "main"];
            let is_source = !module
                .iter()
                .any(|it| is_other.contains(&&**it) || it.ends_with("_tests"));
            is_source.then(|| (name.to_owned(), module))
        })
        .collect();
    let modules: BTreeSet<Names> = files.iter().map(|(_, module)| module.clone()).collect();
    let parsed = files.into_iter().map(|(file, module)| {
        let text = fs::read_to_string(root.join(&file)).unwrap();
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut reader = Reader {
            modules: &modules,
            scope: module.clone(),
            paths: BTreeSet::new(),
            imports: BTreeMap::new(),
            reexports: BTreeSet::new(),
            names: BTreeSet::new(),
            types: Vec::new(),
        };
        reader.visit_file(&syntax);
        let names = &reader.names;
        reader.reexports.retain(|name| !names.contains(name));
        Source {
            file,
            module,
            paths: reader.paths,
            imports: reader.imports,
            reexports: reader.reexports,
            types: reader.types,
        }
    });
    parsed.collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found
}

/// Collects what a file names.
struct Reader<'a> {
    modules: &'a BTreeSet<Names>,
    /// The module that is being read, which may be an inline one.
    scope: Names,
    paths: BTreeSet<Names>,
    imports: BTreeMap<String, Names>,
    reexports: BTreeSet<String>,
    /// The names that code uses as they are.
    names: BTreeSet<String>,
    types: Vec<String>,
}

impl Reader<'_> {
    /// Returns a path from the root of the crate on, or as it is if it begins with a library.
    fn resolve(&self, path: &[String]) -> Names {
        let mut scope = self.scope.clone();
        let rest = match &*path[0] {
            "crate" => return path.to_vec(),
            "self" => &path[1..],
            "super" => {
                let length = path.iter().take_while(|it| *it == "super").count();
                scope.truncate(scope.len() - length);
                &path[length..]
            }
            first => {
                let child = [&*scope, &[first.to_owned()]].concat();
                if !self.modules.contains(&child) {
                    return path.to_vec();
                }
                path
            }
        };
        [&["crate".to_owned()], &*scope, rest].concat()
    }

    fn add_use(&mut self, prefix: &[String], tree: &syn::UseTree, is_public: bool) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_use(&with(&path.ident), &path.tree, is_public),
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.add_import(prefix, prefix[prefix.len() - 1].clone(), is_public);
            }
            syn::UseTree::Name(name) => {
                self.add_import(&with(&name.ident), name.ident.to_string(), is_public);
            }
            syn::UseTree::Rename(rename) => {
                self.add_import(&with(&rename.ident), rename.rename.to_string(), is_public);
            }
            syn::UseTree::Glob(_) => self.add_import(prefix, "*".to_owned(), is_public),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.add_use(prefix, item, is_public);
                }
            }
        }
    }

    fn add_import(&mut self, path: &[String], name: String, is_public: bool) {
        let path = self.resolve(path);
        self.paths.insert(path.clone());
        self.imports.insert(name.clone(), path);
        if is_public {
            self.reexports.insert(name);
        }
    }

    /// Adds the paths in the arguments of a macro, which are not parsed.
    fn add_tokens(&mut self, tokens: &impl ToString) {
        let text = tokens.to_string().replace([' ', '\n'], "");
        let paths = text.match_indices("crate::");
        // A visibility is not a dependency.
        for (at, _) in paths.filter(|(at, _)| !text[..*at].ends_with("(in")) {
            let path = text[at..].split(|it: char| !it.is_alphanumeric() && it != '_' && it != ':');
            let names = path.into_iter().next().unwrap_or_default().split("::");
            self.paths.insert(names.map(str::to_owned).collect());
        }
        let names = text.split(|it: char| !it.is_alphanumeric() && it != '_');
        self.names.extend(names.map(str::to_owned));
    }

    fn add_type(&mut self, visibility: &syn::Visibility, name: &syn::Ident) {
        if !matches!(visibility, syn::Visibility::Inherited) {
            self.types.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.attrs.iter().any(is_for_tests) {
            return;
        }
        self.scope.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.scope.pop();
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !function.attrs.iter().any(is_for_tests) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !item.attrs.iter().any(is_for_tests) {
            let is_public = !matches!(item.vis, syn::Visibility::Inherited);
            self.add_use(&[], &item.tree, is_public);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add_type(&item.vis, &item.ident);
        visit::visit_item_type(self, item);
    }

    /// Passes over visibilities: `pub(in crate::store)` is not a dependency.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|it| it.ident.to_string());
        let names: Names = names.collect();
        self.names.insert(names[0].clone());
        if names.len() > 1 {
            let path = self.resolve(&names);
            self.paths.insert(path);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(&call.tokens);
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.add_tokens(&list.tokens);
        visit::visit_meta_list(self, list);
    }
}

/// Returns whether an attribute is a `cfg` that is on only in tests and fuzzers.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    let condition = list.tokens.to_string();
    list.path.is_ident("cfg") && condition.contains("test") && !condition.contains("not")
}
