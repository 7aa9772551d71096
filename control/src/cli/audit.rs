//! `atelier audit`: who did what.

use super::{client::Client, error::CliError, output::Output};

const FIELDS: &[&str] = &["at", "login", "action", "subject", "detail"];

/// Shows who did what, newest first. For administrators.
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Most entries that are shown.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub(super) async fn audit(
    client: &Client,
    args: AuditArgs,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    output.items(&client.some(&["audit"], &[], args.limit).await?, FIELDS)
}
