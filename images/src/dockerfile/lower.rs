//! Statements without here-documents, which buildah knows from 1.33 on only.
//!
//! In a RUN they are the shell's own: the whole command becomes one word that the shell evaluates. In a COPY they are files of
//! the context.

use std::{collections::BTreeMap, fmt::Write as _};

use data_encoding::BASE64;

use super::parse::{Statement, opening};
use crate::plan::FileContent;

/// Folder of the context for files that statements bring with them.
const FOLDER: &str = ".atelier-heredocs";

/// The statements again, for builders of any age, and what they need in the context.
pub(crate) fn lower(statements: &[Statement]) -> (String, BTreeMap<String, FileContent>) {
    let (mut text, mut context) = (String::new(), BTreeMap::new());
    for (place, statement) in statements.iter().enumerate() {
        let rest = match (statement.keyword.as_str(), statement.heredocs.is_empty()) {
            (_, true) => statement.rest.clone(),
            ("RUN", false) => run(statement),
            (_, false) => copy(statement, place, &mut context),
        };
        writeln!(text, "{} {rest}", statement.keyword).expect("a string takes all");
    }
    (text, context)
}

fn run(statement: &Statement) -> String {
    let (flags, command) = flags(&statement.rest);
    let first = &statement.heredocs[0];
    let alone = opening(command).is_some_and(|(_, length)| length == command.len());
    let line = if alone && first.body.starts_with("#!") {
        // A program of its own, as its first line says.
        let program = BASE64.encode(first.body.as_bytes());
        format!(
            "f=$(mktemp) && echo {program} | base64 -d >\"$f\" && chmod 700 \"$f\" && \"$f\"; s=$?; rm -f \"$f\"; exit $s"
        )
    } else {
        let mut script = String::new();
        if alone {
            script.clone_from(&first.body);
        } else {
            script.push_str(&command.replace("\\\n", ""));
            script.push('\n');
            for heredoc in &statement.heredocs {
                script.push_str(&heredoc.body);
                script.push_str(&heredoc.name);
                script.push('\n');
            }
        }
        format!("eval \"$(echo {} | base64 -d)\"", BASE64.encode(script.as_bytes()))
    };
    format!("{flags}{line}")
}

fn copy(
    statement: &Statement,
    place: usize,
    context: &mut BTreeMap<String, FileContent>,
) -> String {
    let mut heredocs = statement.heredocs.iter();
    let words = statement.rest.split_whitespace().map(|word| {
        if opening(word).is_none() {
            return word.to_owned();
        }
        let heredoc = heredocs.next().expect("the parser found one for each such word");
        let path = format!("{FOLDER}/{place}/{}", heredoc.name);
        context.insert(path.clone(), FileContent(heredoc.body.as_bytes().into()));
        path
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Flags such as `--mount=…` with the blanks after them, and the command.
fn flags(rest: &str) -> (&str, &str) {
    let mut at = 0;
    while let Some(after) = rest.get(at..).filter(|after| after.starts_with("--")) {
        let word = after.find(char::is_whitespace).unwrap_or(after.len());
        let tail = after.get(word..).unwrap_or_default();
        at += word + (tail.len() - tail.trim_start_matches([' ', '\t', '\\', '\n']).len());
    }
    rest.split_at(at)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{super::parse::statements, lower};

    /// What a shell says to the command of a RUN.
    fn shell(text: &str) -> String {
        let (lowered, _) = lower(&statements(text).unwrap());
        assert_eq!(lowered.lines().count(), 1, "{lowered}");
        let command = lowered.strip_prefix("RUN ").unwrap().trim_end();
        #[expect(clippy::disallowed_methods, reason = "a test has no process 1 to be robbed by")]
        let said = Command::new("/bin/sh").args(["-c", command]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    }

    #[test]
    fn a_shell_says_the_same_as_to_the_here_documents() {
        assert_eq!(shell("RUN <<EOF\necho \"it's\" $((6 * 7))\nEOF"), "it's 42\n");
        assert_eq!(shell("RUN <<EOF\n#!/usr/bin/env python3\nprint(6 * 7)\nEOF"), "42\n");
        assert_eq!(shell("RUN A=x; cat <<EOF && echo end\n$A '\"\nEOF"), "x '\"\nend\n");
        assert_eq!(shell("RUN A=x; cat <<'EOF' - \\\n  && echo end\n$A\nEOF"), "$A\nend\n");
        assert_eq!(shell("RUN cat <<-A; cat <<B\n\tone\n\tA\n\ttwo\nB"), "one\n\ttwo\n");
    }

    #[test]
    fn copies_get_files_of_the_context_and_flags_stay_in_front() {
        let (lowered, context) =
            lower(&statements("COPY --chown=1:0 <<A <<'B' /x/\n1\nA\n$2\nB\n").unwrap());
        assert_eq!(lowered, "COPY --chown=1:0 .atelier-heredocs/0/A .atelier-heredocs/0/B /x/\n");
        let files: Vec<_> = context.values().map(|file| &file.0[..]).collect();
        assert_eq!(files, [&b"1\n"[..], b"$2\n"]);
        let (lowered, _) = lower(
            &statements("RUN --network=none --mount=type=cache,target=/c <<E\na\nE").unwrap(),
        );
        assert!(
            lowered.starts_with("RUN --network=none --mount=type=cache,target=/c eval "),
            "{lowered}"
        );
    }
}
