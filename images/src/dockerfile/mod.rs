//! Statements of a Dockerfile: told from each other, checked, and said so that every builder understands them.
//!
//! [`parse::statements`] finds statements with their lines, [`check::mistakes`] says what may not stand in a template, and
//! [`lower::lower`] replaces what old builders don't know: here-documents become shell words, or files of the context.

pub(crate) mod check;
pub(crate) mod lower;
pub(crate) mod parse;
