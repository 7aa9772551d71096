//! What a verb says: a table for people, JSON for programs.

use std::io::Write;

use serde_json::Value;

use super::error::CliError;

/// Where answers go, and in which form.
pub(super) struct Output<'a> {
    pub json: bool,
    /// Answers.
    pub out: &'a mut (dyn Write + Send),
    /// How it goes, and what is wrong.
    pub err: &'a mut (dyn Write + Send),
    /// Both are a person's screen.
    pub screen: bool,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("json", &self.json).finish_non_exhaustive()
    }
}

impl Output<'_> {
    /// A list: JSON is the array itself; a table has one line an item.
    pub(super) fn items(&mut self, items: &[Value], columns: &[&str]) -> Result<(), CliError> {
        if self.json {
            return self.value(&Value::Array(items.to_vec()));
        }
        let mut rows = vec![columns.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>()];
        rows.extend(items.iter().map(|item| columns.iter().map(|name| cell(item, name)).collect()));
        let widths: Vec<usize> = (0..columns.len())
            .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        for row in &rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            self.line(cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// One thing: for people, one line a field.
    pub(super) fn item(&mut self, item: &Value, fields: &[&str]) -> Result<(), CliError> {
        if self.json {
            return self.value(item);
        }
        let width = fields.iter().map(|name| name.len()).max().unwrap_or_default();
        for name in fields {
            self.line(&format!("{name:width$}  {}", cell(item, name)))?;
        }
        Ok(())
    }

    /// For people only.
    pub(super) fn say(&mut self, text: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { self.line(&harmless(text)) }
    }

    /// Several lines from the server, such as a diff. For people only.
    pub(super) fn text(&mut self, text: &str) -> Result<(), CliError> {
        text.lines().try_for_each(|line| self.say(&line.replace('\t', "    ")))
    }

    /// A remark beside the answer, in every form.
    pub(super) fn note(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.err, "{}", harmless(text)).map_err(CliError::io("can't write to stderr"))
    }

    /// What a command writes to its standard error.
    pub(super) fn err_bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.err.write_all(bytes).and_then(|()| self.err.flush());
        written.map_err(CliError::io("can't write to stderr"))
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        written.map_err(CliError::io("can't write the answer"))
    }

    /// As JSON, whatever the form.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&text)
    }

    fn line(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{text}").map_err(CliError::io("can't write the answer"))
    }
}

pub(super) fn cell(item: &Value, name: &str) -> String {
    match item.get(name) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => harmless(text),
        Some(other) => harmless(&other.to_string()),
    }
}

/// Names come from other users: what would move the cursor or set colours is shown, not obeyed.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
