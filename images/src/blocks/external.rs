//! `external`: a block of the administrator's own. An executable of the instance changes the template before it is compiled, and
//! what studios are launched with after it; here only its name is checked, since this code does no I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BlockRules, check};
use crate::compose::Composition;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// Of an executable in the instance's folder `blocks`.
    name: String,
    /// What it is told, as it understands it.
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl BlockRules for External {
    fn apply(&self, at: &mut Composition<'_>) {
        check::simple_name(at, "name", &self.name);
    }
}
