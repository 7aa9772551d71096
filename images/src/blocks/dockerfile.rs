//! `dockerfile`: statements appended to the image. Only builders that make images can carry it out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BlockRules;
use crate::{
    compose::Composition,
    dockerfile::{check::mistakes, lower::lower, parse::statements},
    plan::Fragment,
};

/// Folder of the build's context that has all of the template's resources, where statements name it.
const RESOURCES: &str = "__TEMPLATE_RESOURCES__";

/// What statements may name, and what it is: the folder of resources, and folders of every image.
const PLACES: [(&str, &str); 3] = [
    ("${template.resources}", RESOURCES),
    ("${dku.install.dir}", "/opt/studio"),
    ("${dip.home}", "/home/dataiku"),
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dockerfile {
    /// `${template.resources}` is the folder of the template's resources in the build's context.
    statements: String,
    #[serde(default)]
    as_root: bool,
    /// Resources that go into the build's context under their own paths.
    #[serde(default)]
    resources: Vec<String>,
}

impl BlockRules for Dockerfile {
    fn apply(&self, at: &mut Composition<'_>) {
        if self.statements.len() > 64 << 10 {
            at.problem("statements", "at most 65,536 bytes");
            return;
        }
        let text = self.named(at);
        let statements = match statements(&text) {
            Ok(statements) => statements,
            Err(mistake) => {
                at.problem("statements", format!("line {}: {}", mistake.line, mistake.reason));
                return;
            }
        };
        for mistake in mistakes(&statements) {
            at.problem("statements", format!("line {}: {}", mistake.line, mistake.reason));
        }
        let (lowered, mut context) = lower(&statements);
        self.resources(at, &text, &mut context);
        at.run("dockerfile", Fragment::Dockerfile(lowered), context, self.as_root, false);
    }
}

impl Dockerfile {
    /// The statements with places in the place of their names. Notes names of none.
    fn named(&self, at: &mut Composition<'_>) -> String {
        let mut text = self.statements.clone();
        for (name, place) in PLACES {
            text = text.replace(name, place);
        }
        for (index, line) in text.lines().enumerate() {
            for name in line.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
                let is_place = name.contains('.')
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b));
                if is_place {
                    let known = PLACES.map(|(name, _)| name).join(", ");
                    let reason =
                        format!("line {}: ${{{name}}} is not known: {known} are", index + 1);
                    at.problem("statements", reason);
                }
            }
        }
        text
    }

    fn resources(
        &self,
        at: &mut Composition<'_>,
        text: &str,
        context: &mut BTreeMap<String, crate::plan::FileContent>,
    ) {
        for (place, path) in self.resources.iter().enumerate() {
            let field = format!("resources[{place}]");
            super::check::relative_path(at, &field, path, false);
            if let Some(content) = at.resource(&field, path) {
                context.insert(path.clone(), content);
            }
        }
        if !text.contains(RESOURCES) {
            return;
        }
        let all: Vec<String> = at.resource_paths().cloned().collect();
        if all.is_empty() {
            at.problem("statements", "they name the template's resources, and it has none");
        }
        for path in all {
            if let Some(content) = at.resource("statements", &path) {
                context.insert(format!("{RESOURCES}/{path}"), content);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use crate::{
        compose::{CompileContext, compile},
        plan::{Fragment, Work},
        template::{Resources, parse},
    };

    fn built(statements: &str) -> Result<(String, Vec<String>), String> {
        let spec =
            json!({"label": "T", "blocks": [{"type": "dockerfile", "statements": statements}]});
        let resources: Resources = [("data/a.txt".to_owned(), Arc::from(&b"a"[..]))].into();
        let context =
            CompileContext { base: "b".into(), platform: "p".into(), build_env: [].into() };
        let mut plan = compile(&parse(&spec).unwrap(), &resources, &context)
            .map_err(|problems| problems[0].reason.clone())?
            .plan;
        let Work::Run(run) = plan.nodes.remove(0).work else { panic!("statements are run") };
        let Fragment::Dockerfile(text) = run.fragment else { panic!("they are statements") };
        Ok((text, run.context.into_keys().collect()))
    }

    #[test]
    fn the_template_s_resources_are_in_the_context_of_statements_that_name_them() {
        for name in ["${template.resources}", "__TEMPLATE_RESOURCES__"] {
            let (text, context) = built(&format!("COPY {name}/data /there")).unwrap();
            assert_eq!(text, "COPY __TEMPLATE_RESOURCES__/data /there\n");
            assert_eq!(context, ["__TEMPLATE_RESOURCES__/data/a.txt"]);
        }
        assert_eq!(built("RUN a").unwrap().1, Vec::<String>::new());
    }

    #[test]
    fn places_of_every_image_are_known_and_others_refused_by_line() {
        let (text, _) = built("ENV A=${dku.install.dir} B=${dip.home} C=${HOME:-.}").unwrap();
        assert_eq!(text, "ENV A=/opt/studio B=/home/dataiku C=${HOME:-.}\n");
        assert!(built("RUN a\nRUN ${dip.nothing}").unwrap_err().starts_with("line 2"));
    }
}
