//! `dockerfile`: statements appended to the image. Only builders that make images can carry it out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BlockRules;
use crate::{compose::Composition, plan::Fragment};

/// Statements that may stand here.
const KNOWN: [&str; 14] = [
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "ARG",
    "WORKDIR",
    "USER",
    "LABEL",
    "EXPOSE",
    "VOLUME",
    "SHELL",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ONBUILD",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dockerfile {
    statements: String,
    #[serde(default)]
    as_root: bool,
    /// Resources that go into the build's context.
    #[serde(default)]
    resources: Vec<String>,
}

impl BlockRules for Dockerfile {
    fn apply(&self, at: &mut Composition<'_>) {
        if self.statements.len() > 64 << 10 {
            at.problem("statements", "at most 65,536 bytes");
            return;
        }
        for (line, reason) in mistakes(&self.statements) {
            at.problem("statements", format!("line {line}: {reason}"));
        }
        let mut context = BTreeMap::new();
        for (place, path) in self.resources.iter().enumerate() {
            if let Some(content) = at.resource(&format!("resources[{place}]"), path) {
                context.insert(path.clone(), content);
            }
        }
        at.run(
            "dockerfile",
            Fragment::Dockerfile(self.statements.clone()),
            context,
            self.as_root,
            false,
        );
    }
}

/// Statements that may not stand here, with their line numbers from 1. Continued lines and here-documents are not
/// statements.
fn mistakes(text: &str) -> Vec<(usize, String)> {
    let mut mistakes = Vec::new();
    let mut continued = false;
    let mut heredocs: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(end) = heredocs.first() {
            if line.trim_start_matches('\t') == end {
                heredocs.remove(0);
            }
            continue;
        }
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if !continued {
            let word = trimmed.split_whitespace().next().unwrap_or_default().to_uppercase();
            if word == "FROM" {
                mistakes.push((
                    index + 1,
                    "FROM can't stand here: the base image is the configuration's".into(),
                ));
            } else if word == "ENTRYPOINT" || word == "CMD" {
                mistakes
                    .push((index + 1, format!("{word} can't stand here: use an entrypoint block")));
            } else if !KNOWN.contains(&word.as_str()) {
                mistakes.push((index + 1, format!("{word:?} is no statement of a Dockerfile")));
            }
        }
        heredocs.extend(heredoc_ends(trimmed));
        continued = trimmed.ends_with('\\');
    }
    if let Some(end) = heredocs.first() {
        mistakes.push((text.lines().count(), format!("the here-document {end} does not end")));
    }
    mistakes
}

/// Words after `<<` in a RUN, COPY or ADD.
fn heredoc_ends(line: &str) -> Vec<String> {
    line.split("<<")
        .skip(1)
        .filter_map(|rest| {
            let word: String = rest
                .trim_start_matches('-')
                .trim_start_matches(['"', '\''])
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            (!word.is_empty()).then_some(word)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::mistakes;

    #[test]
    fn statements_are_told_from_their_continuations_and_here_documents() {
        let good = "# a\nRUN apt-get update \\\n  && apt-get install FROM\nRUN <<EOF\nFROM nothing\nEOF\nENV A=1\n";
        assert_eq!(mistakes(good), []);
        let lines = |text| mistakes(text).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines("RUN a\nfrom debian\nCMD x\nNONSENSE"), [2, 3, 4]);
        assert_eq!(lines("RUN <<EOF\nx"), [2]);
    }
}
