//! What may stand in a template's statements.

use super::parse::{Mistake, Statement};

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

/// Everything that may not stand here, each with its line.
pub(crate) fn mistakes(statements: &[Statement]) -> Vec<Mistake> {
    let mut found = Vec::new();
    for statement in statements {
        let mut say = |reason: String| found.push(Mistake { line: statement.line, reason });
        match statement.keyword.as_str() {
            "FROM" => say("FROM can't stand here: the base image is the configuration's".into()),
            "ENTRYPOINT" | "CMD" => {
                say(format!("{} can't stand here: use an entrypoint block", statement.keyword));
            }
            known if KNOWN.contains(&known) => {
                if statement.rest.is_empty() {
                    say(format!("{known} needs something to follow it"));
                }
            }
            other => say(format!("{other:?} is no statement of a Dockerfile")),
        }
        let copies = ["COPY", "ADD"].contains(&statement.keyword.as_str());
        for heredoc in &statement.heredocs {
            if copies && !heredoc.quoted && heredoc.body.contains('$') {
                say(format!(
                    "variables in the here-document {0} stay as they are: say so by <<'{0}'",
                    heredoc.name
                ));
            }
        }
        if copies && !statement.heredocs.is_empty() && statement.rest.contains("\\\n") {
            say("a here-document's COPY is one line".into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::parse::statements, mistakes};

    #[test]
    fn statements_are_told_from_their_continuations_and_here_documents() {
        let found = |text: &str| -> Vec<usize> {
            let found = mistakes(&statements(text).unwrap());
            found.into_iter().map(|mistake| mistake.line).collect()
        };
        let good = "# a\nRUN apt-get update \\\n  && apt-get install FROM\nRUN <<EOF\nFROM nothing\nEOF\nENV A=1\n";
        assert_eq!(found(good), Vec::<usize>::new());
        assert_eq!(found("RUN a\nfrom debian\nCMD x\nNONSENSE\nRUN"), [2, 3, 4, 5]);
        assert_eq!(found("COPY <<EOF /a\n$HOME\nEOF\nCOPY <<'EOF' /a\n$HOME\nEOF"), [1]);
    }
}
