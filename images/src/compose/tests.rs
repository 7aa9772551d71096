use serde_json::json;

use super::{CompileContext, compile};
use crate::{
    plan::{Fragment, Work},
    template::{Problem, Resources, parse},
};

fn context() -> CompileContext {
    CompileContext { base: "machine".into(), platform: "linux/amd64".into(), build_env: [].into() }
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
fn problems(blocks: serde_json::Value) -> Vec<(Option<usize>, String)> {
    let value = json!({"label": "T", "blocks": blocks});
    let found = match parse(&value) {
        Err(problems) => problems,
        Ok(spec) => compile(&spec, &Resources::new(), &context()).err().unwrap_or_default(),
    };
    found.into_iter().map(|Problem { block, field, .. }| (block, field)).collect()
}

fn whole() -> serde_json::Value {
    json!({"label": "Python", "blocks": [
        {"type": "jupyterlab"},
        {"type": "code_env", "name": "science", "packages": ["pandas>=2"]},
        {"type": "streamlit"},
        {"type": "gradio", "version": "6.0.0"},
        {"type": "voila", "code_env": "science"},
        {"type": "vscode", "extensions": ["ms-python.python"], "settings": {"editor.fontSize": 14}},
        {"type": "rstudio", "version": "2025.09.1-401"},
        {"type": "code_env", "name": "statistics", "language": "r", "packages": ["ggplot2"]},
        {"type": "nginx", "folders": [{"zone": "code_studio-resources", "folder": "public", "path": "/"}], "upstreams": [{"port": 9000, "path": "/api/"}]},
        {"type": "starter_files", "files": [{"text": "hi", "zone": "code_studio-versioned", "path": "hello.txt"}]},
        {"type": "file_sync", "exclusions": ["*.pyc"], "mounts": [{"zone": "recipes", "one_way": true}]},
        {"type": "entrypoint", "command": "exec my-server", "port": 9000, "expose": true, "label": "Mine"},
        {"type": "action", "name": "Say hello", "command_line": "echo hello"},
    ]})
}

#[test]
fn the_same_template_is_the_same_plan() {
    let spec = parse(&whole()).unwrap();
    let (a, b) = (
        compile(&spec, &Resources::new(), &context()),
        compile(&spec, &Resources::new(), &context()),
    );
    assert_eq!(a, b);
    let compiled = a.unwrap();
    assert_eq!(
        compiled.plan.config.exposed_ports,
        [7860, 8090, 8181, 8501, 8787, 8866, 8888, 9000]
    );
    let ids: Vec<&str> =
        compiled.launch.entrypoints.iter().map(|entrypoint| entrypoint.id.as_str()).collect();
    assert_eq!(
        ids,
        ["jupyterlab", "streamlit", "gradio", "voila", "vscode", "rstudio", "nginx", "mine"]
    );
}

#[test]
fn an_independent_block_keeps_its_key_whatever_stands_around_it() {
    let key = |blocks: serde_json::Value| {
        let spec = parse(&json!({"label": "T", "blocks": blocks})).unwrap();
        let plan = compile(&spec, &Resources::new(), &context()).unwrap().plan;
        plan.nodes.into_iter().find(|node| node.name == "jupyterlab").unwrap().key
    };
    let alone = key(json!([{"type": "jupyterlab"}]));
    assert_eq!(
        alone,
        key(
            json!([{"type": "code_env", "name": "a"}, {"type": "jupyterlab"}, {"type": "streamlit"}])
        )
    );
    assert_ne!(alone, key(json!([{"type": "jupyterlab", "modules": ["ipywidgets"]}])));
}

#[test]
fn a_code_env_is_a_kernel_before_and_after_the_ide() {
    for blocks in [
        json!([{"type": "jupyterlab"}, {"type": "code_env", "name": "a"}]),
        json!([{"type": "code_env", "name": "a"}, {"type": "jupyterlab"}]),
    ] {
        let spec = parse(&json!({"label": "T", "blocks": blocks})).unwrap();
        let plan = compile(&spec, &Resources::new(), &context()).unwrap().plan;
        let kernels = plan.nodes.iter().filter_map(|node| match &node.work {
            Work::Files(files) => Some(files[0].path.as_str()),
            Work::Run(_) => None,
        });
        assert_eq!(kernels.collect::<Vec<_>>(), ["share/jupyter/kernels/a/kernel.json"]);
    }
}

#[test]
fn file_sync_replaces_the_default_of_the_same_zone() {
    let launch = compile(&parse(&whole()).unwrap(), &Resources::new(), &context()).unwrap().launch;
    assert_eq!(launch.mounts.len(), 8);
    let recipes: Vec<_> = launch.mounts.iter().filter(|mount| mount.zone == "recipes").collect();
    assert!(recipes.len() == 1 && recipes[0].one_way && !recipes[0].shadow);
    assert!(launch.mounts.iter().all(|mount| mount.exclusions == ["*.pyc"]));
}

#[test]
fn what_is_wrong_is_named_by_block_and_field() {
    let at = |block, field: &str| (Some(block), field.to_owned());
    assert_eq!(problems(json!([{"type": "nonsense"}])), [at(0, "nonsense")]);
    assert_eq!(problems(json!([{"type": "jupyterlab", "nonsense": 1}])), [at(0, "nonsense")]);
    assert_eq!(problems(json!([{"type": "jupyterlab", "port": 80}])), [at(0, "port")]);
    assert_eq!(
        problems(json!([{"type": "jupyterlab"}, {"type": "jupyterlab", "port": 9999}])),
        [at(1, "type"), at(1, "label")]
    );
    assert_eq!(
        problems(
            json!([{"type": "jupyterlab"}, {"type": "entrypoint", "command": "x", "port": 8888}])
        ),
        [at(1, "port")]
    );
    assert_eq!(
        problems(json!([{"type": "entrypoint", "command": "x", "scripts": ["no.sh"]}])),
        [at(0, "scripts[0]")]
    );
    assert_eq!(
        problems(json!([{"type": "file_sync", "exclusions": ["a", "!b"]}])),
        [at(0, "exclusions[1]")]
    );
    assert_eq!(
        problems(json!([{"type": "dockerfile", "statements": "FROM x"}])),
        [at(0, "statements")]
    );
    assert_eq!(
        problems(
            json!([{"type": "code_env", "name": "a", "language": "r", "packages": ["x==1", "a-b"]}])
        ),
        [at(0, "packages[0]"), at(0, "packages[1]")]
    );
    assert_eq!(
        problems(
            json!([{"type": "nginx", "folders": [{"zone": "recipes", "folder": "a\"$(b)", "path": "/"}]}])
        ),
        [at(0, "folders[0].folder")]
    );
    assert_eq!(
        problems(json!([{"type": "nginx", "upstreams": [{"port": 1, "path": "$request_uri"}]}])),
        [at(0, "upstreams[0].path"), at(0, "folders")]
    );
    assert_eq!(
        problems(json!([{"type": "rstudio", "package": "no.deb", "sha256": "x"}])),
        [at(0, "package"), at(0, "sha256")]
    );
    assert_eq!(
        problems(json!([{"type": "vscode", "extensions": ["no.vsix", "a b"]}])),
        [at(0, "extensions[0]"), at(0, "extensions[1]")]
    );
    let mount = |target: &str| json!([{"type": "file_sync", "mounts": [{"zone": "recipes", "target": target}]}]);
    for hostile in ["..", "a/../b", "/../etc", "", "a//b", "a\u{0}b", &"x".repeat(300)] {
        assert_eq!(problems(mount(hostile)), [at(0, "mounts[0].target")], "{hostile:?}");
    }
    assert_eq!(problems(mount("notebooks/inside")), [(None, "mounts".to_owned())]);
    for hostile in ["--index-url=x", "a; b\n", "-e .", "$(x)", ""] {
        let found = problems(json!([{"type": "code_env", "name": "a", "packages": [hostile]}]));
        assert_eq!(found, [at(0, "packages[0]")], "{hostile:?}");
    }
}

#[test]
fn a_dockerfile_block_stands_on_what_comes_before_it() {
    let spec = parse(&json!({"label": "T", "blocks": [
        {"type": "code_env", "name": "a"},
        {"type": "dockerfile", "statements": "RUN true"},
    ]}));
    let plan = compile(&spec.unwrap(), &Resources::new(), &context()).unwrap().plan;
    let last = plan.nodes.last().unwrap();
    assert!(
        matches!(&last.work, Work::Run(run) if matches!(run.fragment, Fragment::Dockerfile(_)))
    );
    assert_eq!(last.parent.as_ref(), Some(&plan.nodes[plan.nodes.len() - 2].key));
}

#[test]
fn every_kind_of_the_catalogue_has_a_schema_and_a_good_example() {
    for kind in crate::blocks::catalogue() {
        let mut block = (kind.example)();
        block["type"] = kind.type_name.into();
        assert_eq!(problems(json!([block])), [], "{}", kind.type_name);
        let schema = serde_json::to_value((kind.schema)()).unwrap();
        let mut parameters = (kind.example)();
        parameters.as_object_mut().unwrap().remove("type");
        assert!(jsonschema::is_valid(&schema, &parameters), "{}", kind.type_name);
    }
}

#[test]
fn plan_and_launch_specification_are_as_reviewed() {
    let compiled = compile(&parse(&whole()).unwrap(), &Resources::new(), &context()).unwrap();
    insta::assert_json_snapshot!("plan", compiled.plan);
    insta::assert_json_snapshot!("launch", compiled.launch);
}

#[test]
fn hostile_templates_are_refused_as_a_whole() {
    let blocks = |count| vec![json!({"type": "action", "name": "a", "command_line": "x"}); count];
    for hostile in [
        json!(null),
        json!([]),
        json!("jupyterlab"),
        json!({}),
        json!({"label": 7}),
        json!({"label": "T", "blocks": {}}),
        json!({"label": "T", "blocks": [null]}),
        json!({"label": "T", "blocks": ["jupyterlab"]}),
        json!({"label": "T", "blocks": [{}]}),
        json!({"label": "T", "blocks": [{"type": ["jupyterlab"]}]}),
        json!({"label": "T", "blocks": [{"type": "jupyterlab", "port": 70000}]}),
        json!({"label": "T", "blocks": [{"type": "jupyterlab", "port": -1}]}),
        json!({"label": "T", "nonsense": true}),
        json!({"label": "T", "blocks": blocks(101)}),
    ] {
        let found = parse(&hostile).expect_err(&hostile.to_string());
        assert!(found.iter().all(|problem| !problem.reason.is_empty()), "{hostile}: {found:?}");
    }
}

proptest::proptest! {
    /// Whatever is written: the same answer twice, no panic, and a plan only with paths that stay inside.
    #[test]
    fn any_text_compiles_to_the_same_or_is_refused(name in ".{0,12}", package in ".{0,20}", target in "[a./\\\\\u{0}é]{0,8}") {
        let value = json!({"label": name, "blocks": [
            {"type": "code_env", "name": name, "packages": [package]},
            {"type": "file_sync", "mounts": [{"zone": "recipes", "target": target}]},
        ]});
        let answer = || parse(&value).and_then(|spec| compile(&spec, &Resources::new(), &context()));
        let first = answer();
        proptest::prop_assert_eq!(&first, &answer());
        if let Ok(compiled) = first {
            let files = compiled.plan.nodes.iter().filter_map(|node| match &node.work {
                Work::Files(files) => Some(files.iter().map(|file| file.path.clone())),
                Work::Run(_) => None,
            });
            let targets = compiled.launch.mounts.iter().map(|mount| mount.target.clone());
            for path in files.flatten().chain(targets) {
                proptest::prop_assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".."), "{:?}", path);
            }
        }
    }
}
