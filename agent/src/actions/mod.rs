//! Actions: named command lines of the template, run as sessions.
//!
//! Inputs arrive as `ATELIER_INPUT_<NAME>` and are never pasted into the line. What happens when an action runs already is
//! its own setting: refuse, queue (in the order of the requests) or run side by side.

mod queue;

pub(crate) use queue::{ActionError, Actions};

use std::collections::BTreeMap;
use std::ffi::OsString;

use proto::agent::v1::{Action, ActionInput};

use crate::launch::Plan;
use crate::sys::Program;

/// Like entrypoints' children, above the agent.
const OOM_SCORE: i32 = 600;
const MOST_INPUT_BYTES: usize = 128 << 10;

/// The process of one run.
fn program(action: &Action, inputs: &[ActionInput], plan: &Plan) -> Result<Program, ActionError> {
    let mut env = plan.env.clone().into_map();
    env.extend(input_variables(inputs)?);
    env.insert("ATELIER_ACTION".into(), (&action.id).into());
    Ok(Program {
        command: ["sh", "-c", &action.command_line].map(OsString::from).to_vec(),
        env,
        working_folder: plan.folder(&action.working_folder),
        oom_score: OOM_SCORE,
    })
}

fn input_variables(inputs: &[ActionInput]) -> Result<BTreeMap<OsString, OsString>, ActionError> {
    inputs
        .iter()
        .map(|input| {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            let good = !input.name.is_empty() && input.name.chars().all(word);
            if !good || input.value.contains('\0') || input.value.len() > MOST_INPUT_BYTES {
                return Err(ActionError::Input { name: input.name.clone() });
            }
            let name = input.name.to_ascii_uppercase().replace('-', "_");
            Ok((format!("ATELIER_INPUT_{name}").into(), (&input.value).into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_become_variables_and_bad_names_are_refused() {
        let input = |name: &str| ActionInput { name: name.into(), value: "$(rm)".into() };
        let variables = input_variables(&[input("my-file")]).unwrap();
        assert_eq!(
            variables.into_iter().next().unwrap(),
            ("ATELIER_INPUT_MY_FILE".into(), "$(rm)".into())
        );
        assert!(input_variables(&[input("a=b")]).is_err());
        assert!(input_variables(&[input("")]).is_err());
    }
}
