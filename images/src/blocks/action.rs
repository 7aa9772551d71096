//! `action`: a command line that users run by a click while the studio runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockRules, check};
use crate::{
    compose::Composition,
    launch::{self, ActionInput, Concurrency, InputKind},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    name: String,
    /// For the shell; inputs are in `$ATELIER_INPUT_<NAME>`.
    command_line: String,
    /// Relative to the workspace.
    #[serde(default)]
    working_folder: String,
    #[serde(default)]
    inputs: Vec<ActionInput>,
    /// After so many seconds it is ended; 0: never.
    #[serde(default)]
    timeout_s: u32,
    #[serde(default)]
    concurrency: Concurrency,
}

impl BlockRules for Action {
    fn apply(&self, at: &mut Composition<'_>) {
        check::label(at, "name", &self.name);
        check::command(at, "command_line", &self.command_line);
        check::relative_path(at, "working_folder", &self.working_folder, true);
        for (place, input) in self.inputs.iter().enumerate() {
            let field = format!("inputs[{place}]");
            let name = &input.name;
            let good = (1..=64).contains(&name.len())
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !good {
                at.problem(
                    format!("{field}.name"),
                    "1 to 64 letters, digits and _, not beginning with a digit",
                );
            }
            if self.inputs.iter().take(place).any(|other| other.name.eq_ignore_ascii_case(name)) {
                at.problem(format!("{field}.name"), format!("there is an input {name} already"));
            }
            if input.kind == InputKind::Choice && input.choices.is_empty() {
                at.problem(format!("{field}.choices"), "a choice needs something to choose from");
            }
        }
        at.launch.actions.push(launch::Action {
            id: check::slug(&self.name),
            name: self.name.clone(),
            command_line: self.command_line.clone(),
            working_folder: self.working_folder.clone(),
            inputs: self.inputs.clone(),
            timeout_s: self.timeout_s,
            concurrency: self.concurrency,
        });
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        vec![("action name", check::slug(&self.name))]
    }
}
