//! Which module names which: drawn from the code itself, so that no arrow points back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{
    Attribute, Item, ItemMod, UseTree,
    visit::{self, Visit},
};

/// The order of the folders is the table in the library's own documentation.
const LIBRARY: &str = include_str!("../src/lib.rs");

/// Modules that only compute.
const PURE: [&str; 7] = ["read", "tables", "parquet", "manifest", "config", "page", "observe/report"];

/// What computing does without: clocks, the environment, files and waiting.
const IMPURE: [&str; 12] = [
    "tokio",
    "std/env",
    "std/thread",
    "SystemTime/now",
    "Utc/now",
    "Instant/now",
    "File/open",
    "File/create",
    "OpenOptions",
    "fs/read",
    "fs/read_dir",
    "fs/write",
];

/// Libraries, and the places that name each.
const OWNERS: [(&str, &[&str]); 7] = [
    ("reqwest", &["feishu/transport", "store/s3/http"]),
    ("governor", &["fetch/pace"]),
    ("rusqlite", &["journal"]),
    ("indicatif", &["observe/"]),
    ("object_store", &["store/s3"]),
    ("delta_kernel", &["store/table"]),
    ("clap", &["cli", "command/simulate"]),
];

/// One module: its path from the library's root, and what it names.
struct Module {
    path: Vec<String>,
    names: Names,
}

/// Paths that a module names outside of its tests, and whether it waits.
#[derive(Default)]
struct Names {
    paths: BTreeSet<Vec<String>>,
    is_async: bool,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(ItemMod { attrs, .. }) => attrs.as_slice(),
            Item::Use(item) => item.attrs.as_slice(),
            Item::Fn(item) => item.attrs.as_slice(),
            Item::Impl(item) => item.attrs.as_slice(),
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests_or_docs) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.is_async |= signature.asyncness.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.is_async = true;
        visit::visit_expr_async(self, block);
    }
}

impl Names {
    fn take_tree(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.take_tree(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.take_tree(item, before)),
            UseTree::Name(name) => self.take_leaf(before, &name.ident.to_string()),
            UseTree::Rename(renamed) => self.take_leaf(before, &renamed.ident.to_string()),
            UseTree::Glob(_) => self.take_leaf(before, "self"),
        }
    }

    fn take_leaf(&mut self, before: &[String], leaf: &str) {
        let leaf = (leaf != "self").then(|| leaf.to_owned());
        self.paths.insert(before.iter().cloned().chain(leaf).collect());
    }
}

fn is_for_tests_or_docs(attribute: &Attribute) -> bool {
    let is = |name: &str| attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident(name));
    attribute.path().is_ident("cfg") && (is("test") || is("doc"))
}

/// Every module of the library but the root, by its path.
fn modules() -> BTreeMap<Vec<String>, Names> {
    let mut modules = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let within = path.strip_prefix(&root).unwrap().with_extension("");
            let within: Vec<String> = within.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !within.iter().any(|part| part == "tests")
                && within != ["lib"]
                && within[0] != "bin"
            {
                let mut names = Names::default();
                names.visit_file(&syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap());
                modules.insert(within, names);
            }
        }
    }
    assert!(modules.len() > 100, "the library's modules are looked for in the wrong place");
    modules
}

/// The modules that each module names, itself left out.
fn arrows(modules: &BTreeMap<Vec<String>, Names>) -> Vec<(&[String], &[String])> {
    let mut arrows = Vec::new();
    for (from, names) in modules {
        for path in &names.paths {
            let Some(absolute) = absolute(from, path) else { continue };
            let known = (1..=absolute.len()).rev().find_map(|length| modules.get_key_value(&absolute[..length]));
            if let Some((to, _)) = known.filter(|(to, _)| *to != from) {
                arrows.push((from.as_slice(), to.as_slice()));
            }
        }
    }
    arrows
}

/// Where a path within `module` leads, from the library's root; `None` for what is not the library's own.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let base = match path.first()?.as_str() {
        "crate" => &[],
        "self" => module,
        "super" => &module[..module.len().saturating_sub(ups)],
        _ => return None,
    };
    Some(base.iter().chain(&path[ups.max(1)..]).cloned().collect())
}

#[test]
fn folders_name_only_what_stands_before_them_in_the_library_s_table() {
    let rows = LIBRARY.lines().filter_map(|line| line.strip_prefix("//! | ")).filter(|line| line.contains("[`"));
    let linked = rows.flat_map(|row| row.split("[`").skip(1)).map(|link| link.split('`').next().unwrap());
    let order: Vec<&str> = linked.map(|name| name.trim_start_matches("mod@")).collect();
    let place = |folder: &str| order.iter().position(|name| *name == folder);
    let modules = modules();
    assert!(arrows(&modules).len() > modules.len(), "no arrows are found where there are many");
    for path in modules.keys() {
        assert!(place(&path[0]).is_some(), "`{}` is not in the table of src/lib.rs", path[0]);
    }
    let back: BTreeSet<String> = arrows(&modules)
        .into_iter()
        .filter(|(from, to)| from[0] != to[0] && place(&to[0]) > place(&from[0]))
        .map(|(from, to)| format!("{} names {}", from.join("/"), to.join("/")))
        .collect();
    assert!(back.is_empty(), "{back:#?}");
}

/// A module and those in its folder may name each other: they are one thing. Neighbours may not, in a circle.
#[test]
fn no_neighbours_name_each_other_in_a_circle() {
    let modules = modules();
    let mut neighbours: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for (from, to) in arrows(&modules) {
        let shared = from.iter().zip(to).take_while(|(from, to)| from == to).count();
        if shared < from.len() && shared < to.len() {
            neighbours.entry(&from[..=shared]).or_default().insert(&to[..=shared]);
        }
    }
    for start in neighbours.keys() {
        let mut reached = BTreeSet::new();
        let mut next = vec![*start];
        while let Some(module) = next.pop() {
            for to in neighbours.get(module).into_iter().flatten() {
                assert_ne!(to, start, "{} comes back to itself by way of {}", start.join("/"), module.join("/"));
                if reached.insert(*to) {
                    next.push(to);
                }
            }
        }
    }
}

#[test]
fn what_computes_reads_no_clock_no_environment_and_no_file() {
    for Module { path, names } in list(modules()) {
        let path = path.join("/");
        if !PURE.iter().any(|pure| path == *pure || path.starts_with(&format!("{pure}/"))) {
            continue;
        }
        assert!(!names.is_async, "{path} waits");
        for named in names.paths.iter().map(|named| named.join("/")) {
            let named = format!("/{named}/");
            let impure = IMPURE.iter().find(|impure| named.contains(&format!("/{impure}/")));
            assert_eq!(impure, None, "{path} names {named}");
        }
    }
}

#[test]
fn a_library_is_named_where_it_belongs() {
    for Module { path, names } in list(modules()) {
        let path = path.join("/");
        for (library, owners) in OWNERS.iter().filter(|(_, owners)| !owners.iter().any(|owner| path.starts_with(owner)))
        {
            let named = names.paths.iter().any(|named| named.first().is_some_and(|first| first == library));
            assert!(!named, "{path} names {library}, which is the business of {owners:?}");
        }
    }
}

fn list(modules: BTreeMap<Vec<String>, Names>) -> Vec<Module> {
    modules.into_iter().map(|(path, names)| Module { path, names }).collect()
}
