//! The modules of the server import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{code, production, read};

const SOURCES: &str = "crates/ferricorn/src/";

/// Which top-level module imports which, by `crate::…` in the code.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let files = production();
    let files: Vec<&String> = files
        .iter()
        .filter(|path| path.starts_with(SOURCES))
        .collect();
    for file in &files {
        graph.entry(module_of(file)).or_default();
    }
    let exports = exports(&code(&format!("{SOURCES}lib.rs")));
    for file in files {
        let module = module_of(file);
        for name in crate_paths(&code(file)) {
            let target = exports.get(&name).unwrap_or(&name);
            if graph.contains_key(target) && *target != module {
                graph
                    .entry(module.clone())
                    .or_default()
                    .insert(target.clone());
            }
        }
    }
    // The root only lists the modules.
    graph.remove("lib");
    graph
}

fn module_of(file: &str) -> String {
    let inside = file.strip_prefix(SOURCES).unwrap();
    let first = inside.split('/').next().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Items that `lib.rs` exports from its modules: item to module.
fn exports(root: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for statement in root.split(';') {
        let Some((_, import)) = statement.split_once("pub use ") else {
            continue;
        };
        let Some((module, items)) = import.split_once("::") else {
            continue;
        };
        for item in items.trim_matches(['{', '}']).split(',') {
            exports.insert(item.trim().to_owned(), module.to_owned());
        }
    }
    exports
}

/// The first name of each path that begins with `crate::`, outside of comments.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut text = String::new();
    for line in code.lines() {
        let line = line.split("//").next().unwrap_or_default();
        text.push_str(line);
        text.push('\n');
    }
    let mut names = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.extend(first_name(rest)),
            Some(list) => {
                let mut depth = 0_u32;
                let mut start = 0;
                for (at, letter) in list.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            names.extend(first_name(&list[start..at]));
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            names.extend(first_name(&list[start..at]));
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn first_name(path: &str) -> Option<String> {
    let path = path.trim_start();
    let end = path.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let name = &path[..end.unwrap_or(path.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// A cycle that begins and ends with its first module, if there is one.
fn cycle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        module: &str,
        graph: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|one| one == module) {
            let mut cycle = path[start..].to_vec();
            cycle.push(module.to_owned());
            return Some(cycle);
        }
        if done.contains(module) {
            return None;
        }
        path.push(module.to_owned());
        for next in &graph[module] {
            if let Some(cycle) = visit(next, graph, path, done) {
                return Some(cycle);
            }
        }
        path.pop();
        done.insert(module.to_owned());
        None
    }
    let mut done = BTreeSet::new();
    graph
        .keys()
        .find_map(|module| visit(module, graph, &mut Vec::new(), &mut done))
}

#[test]
fn the_modules_of_the_server_import_each_other_without_a_cycle() {
    let graph = graph();
    assert!(graph["serve"].contains("connection"), "{graph:#?}");
    if let Some(cycle) = cycle(&graph) {
        panic!("{}", cycle.join(" -> "));
    }
}

/// The order that the map states: one line of modules after the other, each followed by its comment.
fn stated_order(map: &str) -> Vec<String> {
    let (_, section) = map
        .split_once("## Modules of the server, in order")
        .unwrap();
    let block = section.split("```").nth(1).unwrap();
    let lines = block.lines().skip(1);
    let modules = lines.filter_map(|line| line.trim_start().split("   ").next());
    modules
        .flat_map(|modules| modules.split_whitespace().map(str::to_owned))
        .collect()
}

#[test]
fn the_modules_of_the_server_have_the_order_that_the_map_states() {
    let order = stated_order(&read("docs/architecture.md"));
    let place = |module: &String| {
        let place = order.iter().position(|one| one == module);
        place.unwrap_or_else(|| panic!("{module} is not in the map's order: {order:?}"))
    };
    let graph = graph();
    for module in &order {
        assert!(
            graph.contains_key(module),
            "the map lists {module}, which does not exist"
        );
    }
    for (module, imports) in &graph {
        for import in imports {
            assert!(
                place(import) < place(module),
                "{module} imports {import}, which the map lists after it"
            );
        }
    }
}

#[test]
fn the_exchange_knows_no_protocol() {
    let mut seen = 0;
    for file in production() {
        if !file.starts_with("crates/ferricorn/src/exchange/") {
            continue;
        }
        seen += 1;
        for line in code(&file)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for name in ["hyper::", "h2::", "tungstenite::", "tokio_rustls::"] {
                assert!(!line.contains(name), "{file} names {name}: {line}");
            }
        }
    }
    assert!(seen > 0, "exchange/ has no files");
}

#[test]
fn a_cycle_is_found() {
    let edge = |from: &str, to: &[&str]| {
        let to = to.iter().map(|one| (*one).to_owned()).collect();
        (from.to_owned(), to)
    };
    let sound = BTreeMap::from([edge("a", &["b", "c"]), edge("b", &["c"]), edge("c", &[])]);
    assert_eq!(cycle(&sound), None);
    let broken = BTreeMap::from([edge("a", &["b"]), edge("b", &["c"]), edge("c", &["b"])]);
    assert_eq!(cycle(&broken).unwrap(), ["b", "c", "b"]);
}

#[test]
fn paths_are_read_from_code_and_not_from_comments() {
    let code = "use crate::{Config, net::{Peer, Socket}, tls};\n// crate::cli\nlet x = crate::serve::serve();";
    let names: Vec<String> = crate_paths(code).into_iter().collect();
    assert_eq!(names, ["Config", "net", "serve", "tls"]);
}
