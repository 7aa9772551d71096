//! Where statements begin and end. As `BuildKit` reads them: <https://docs.docker.com/reference/dockerfile/>.

/// One statement, with its continued lines and here-documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Where it begins, from 1.
    pub line: usize,
    /// In capitals.
    pub keyword: String,
    /// What comes after the keyword: continued lines joined by their line ends, with their backslashes, without comments.
    pub rest: String,
    pub heredocs: Vec<Heredoc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heredoc {
    /// The word that ends it, which is also the file's name in a COPY.
    pub name: String,
    /// `<<-`: tabs at the beginning of lines don't count.
    pub strip_tabs: bool,
    /// Its word stands in quotes: nothing in it stands for anything else.
    pub quoted: bool,
    /// With a line end after each line; tabs stripped where that is wanted.
    pub body: String,
}

/// Something that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// From 1.
    pub line: usize,
    pub reason: String,
}

/// All statements, in their order.
pub(crate) fn statements(text: &str) -> Result<Vec<Statement>, Mistake> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let mut found = Vec::new();
    while let Some((first, line)) = lines.next() {
        let start = line.trim_start();
        if is_comment(start) || start.trim_end().is_empty() {
            directive(first, start, found.is_empty())?;
            continue;
        }
        let mut whole = start.trim_end().to_owned();
        while whole.ends_with('\\') {
            let Some((_, next)) = lines.next() else { break };
            // Comments and empty lines between continued ones are as if they were not there.
            if is_comment(next.trim_start()) || next.trim().is_empty() {
                continue;
            }
            whole.push('\n');
            whole.push_str(next.trim_end());
        }
        let (keyword, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        let keyword = keyword.to_ascii_uppercase();
        let rest = rest.trim_start().to_owned();
        let mut heredocs = if ["RUN", "COPY", "ADD"].contains(&keyword.as_str()) {
            openings(&rest)
        } else {
            Vec::new()
        };
        for heredoc in &mut heredocs {
            let mut ended = false;
            for (_, line) in lines.by_ref() {
                let line = if heredoc.strip_tabs { line.trim_start_matches('\t') } else { line };
                if line == heredoc.name {
                    ended = true;
                    break;
                }
                heredoc.body.push_str(line);
                heredoc.body.push('\n');
            }
            if !ended {
                let reason = format!("the here-document {} does not end", heredoc.name);
                return Err(Mistake { line: first, reason });
            }
        }
        found.push(Statement { line: first, keyword, rest, heredocs });
    }
    Ok(found)
}

fn is_comment(line: &str) -> bool {
    line.starts_with('#')
}

/// `# escape=` would change how the rest is read; after our own first lines, builders would not see it.
fn directive(line: usize, text: &str, first: bool) -> Result<(), Mistake> {
    let name = text.trim_start_matches('#').trim_start().split('=').next().unwrap_or_default();
    if first && name.trim_end().eq_ignore_ascii_case("escape") && text.contains('=') {
        let reason = "the escape character can't be changed here: it is \\".to_owned();
        return Err(Mistake { line, reason });
    }
    Ok(())
}

/// Here-documents that a line begins, in their order; `<<<` and what stands in quotes begin none.
fn openings(rest: &str) -> Vec<Heredoc> {
    let mut found = Vec::new();
    let bytes = rest.as_bytes();
    let (mut at, mut quote) = (0, None);
    while at < bytes.len() {
        match (bytes[at], quote) {
            (b'\\', _) => at += 1,
            (byte, Some(open)) if byte == open => quote = None,
            (byte @ (b'\'' | b'"'), None) => quote = Some(byte),
            (b'<', None) if bytes[at..].starts_with(b"<<<") => at += 2,
            (b'<', None) if bytes[at..].starts_with(b"<<") => {
                if let Some((heredoc, length)) = rest.get(at..).and_then(opening) {
                    found.push(heredoc);
                    at += length - 1;
                }
            }
            _ => (),
        }
        at += 1;
    }
    found
}

/// A here-document whose `<<` begins the text, with its length in bytes.
pub(super) fn opening(text: &str) -> Option<(Heredoc, usize)> {
    let after = text.strip_prefix("<<")?;
    let strip_tabs = after.starts_with('-');
    let after = after.strip_prefix('-').unwrap_or(after);
    let quote = after.chars().next().filter(|c| "'\"".contains(*c));
    let word = quote.map_or(after, |quote| after.strip_prefix(quote).unwrap_or(after));
    let end = word.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b)).count();
    let (name, rest) = word.split_at(end);
    if name.is_empty() || quote.is_some_and(|quote| !rest.starts_with(quote)) {
        return None;
    }
    let heredoc =
        Heredoc { name: name.to_owned(), strip_tabs, quoted: quote.is_some(), body: String::new() };
    let quotes = if quote.is_some() { 2 } else { 0 };
    Some((heredoc, 2 + usize::from(strip_tabs) + quotes + end))
}

#[cfg(test)]
mod tests {
    use super::{Statement, statements};

    fn one(text: &str) -> Statement {
        let mut found = statements(text).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn a_statement_goes_on_over_comments_and_empty_lines() {
        let run = one("\n# first\nrun a \\\n  # not this\n\n  && b\n");
        assert_eq!((run.line, run.keyword.as_str(), run.rest.as_str()), (3, "RUN", "a \\\n  && b"));
    }

    #[test]
    fn here_documents_follow_each_other_in_the_order_of_their_words() {
        let copy = one("COPY <<A <<-\"B\" /there/\n\tone\nA\n\ttwo\n\tB\n");
        let bodies: Vec<_> =
            copy.heredocs.iter().map(|h| (h.name.as_str(), h.quoted, h.body.as_str())).collect();
        assert_eq!(bodies, [("A", false, "\tone\n"), ("B", true, "two\n")]);
    }

    #[test]
    fn what_only_looks_like_a_here_document_is_none() {
        for text in [
            "RUN cat <<<EOF",
            "RUN echo '<<EOF'",
            "RUN echo \\<<EOF",
            "RUN test 1 -lt $((1 << 4))",
            "ENV A=<<B",
        ] {
            assert_eq!(one(text).heredocs, [], "{text}");
        }
    }

    #[test]
    fn what_can_t_be_read_is_named_by_its_line() {
        assert_eq!(statements("ENV A=1\nRUN <<EOF\nx").unwrap_err().line, 2);
        assert_eq!(statements("# escape=`\nRUN a").unwrap_err().line, 1);
        assert_eq!(statements("# syntax=docker/dockerfile:1\nRUN a").unwrap().len(), 1);
    }
}
