//! Slow deletions in runs: what went before counts in the question, and an undoing brings it back too.

use sync::{Direction, Losses, OnMassDeletion, Outcome, Request, Side};
use time::Duration;
use tokio::time::Instant;

use super::{SyncService, losses::Span, run::Order};
use crate::{
    app::AppError,
    domain::{
        launch::Mount,
        mounts::SyncCause,
        studio::Studio,
        zone_files::{Deletions, ZonePath},
    },
    zones::WriteGuard,
};

/// What somebody deleted on the server was deleted so long before the run that told the studio, at most.
const BEFORE_A_RUN: Duration = Duration::seconds(10);

impl SyncService {
    /// What a program before this one asked, and when that went.
    pub(super) async fn know_losses(
        &self,
        studio: &Studio,
        mount: &Mount,
        request: &Request,
    ) -> Result<(), AppError> {
        let watched = self.watches.of(&studio.id, &mount.id);
        if request.direction == Direction::Check || watched.losses().is_seeded() {
            return Ok(());
        }
        let open = self.open_issues_of(&studio.id).await?.questions;
        let mut questions = open.iter().filter(|open| open.mount == mount.id).peekable();
        let open = questions.peek().is_some().then(|| {
            let (mut losses, mut span) = (Losses::default(), None);
            for question in questions {
                let is_server = question.side == Side::Server.name();
                let side = if is_server { Side::Server } else { Side::Studio };
                *losses.by_mut(side) += question.already;
                if let (Some(since), Some(until)) = (question.already_since, question.already_until)
                {
                    span = Some(Span { since, until });
                }
            }
            (losses, span)
        });
        watched.losses().seed(Instant::now(), open);
        Ok(())
    }

    /// What live runs deleted a short while ago, for a run that asks, or that undoes what was asked: alone, the rest may be few.
    pub(super) fn lost_before(&self, studio: &Studio, mount: &Mount, request: &Request) -> Losses {
        let is_allowed = request.on_mass_deletion == OnMassDeletion::Allow;
        if is_allowed || request.direction == Direction::Check {
            return Losses::default();
        }
        self.watches.of(&studio.id, &mount.id).losses().before(Instant::now())
    }

    pub(super) fn note_losses(
        &self,
        studio: &Studio,
        mount: &Mount,
        order: &Order,
        outcome: &Outcome,
        span: Span,
    ) {
        if order.request.direction == Direction::Check {
            return;
        }
        let watched = self.watches.of(&studio.id, &mount.id);
        if order.request.on_mass_deletion != OnMassDeletion::Ask {
            return watched.losses().answered();
        }
        let is_live = order.cause == SyncCause::Live;
        let losses = if is_live { outcome.losses } else { Losses::default() };
        watched.losses().note(Instant::now(), losses, span, !outcome.questions.is_empty());
    }

    /// Puts what went little by little back into the zone, where somebody says that the deletion was not meant; the run brings it to
    /// the studio. Answers how many files. Whoever deleted on the server past its trash has to look elsewhere.
    pub(super) async fn undo_losses(
        &self,
        guard: &WriteGuard,
        studio: &Studio,
        mount: &Mount,
        request: &Request,
    ) -> Result<u64, AppError> {
        let is_undone = request.on_mass_deletion == OnMassDeletion::Restore;
        if !is_undone || request.direction == Direction::Check {
            return Ok(0);
        }
        let watched = self.watches.of(&studio.id, &mount.id);
        let (span, losses) = {
            let mut losses = watched.losses();
            (losses.span(), losses.before(Instant::now()))
        };
        let Some(span) = span else { return Ok(0) };
        let by_people = losses.by(Side::Server) > 0;
        let deletions = Deletions {
            below: ZonePath::try_from(mount.sub_folder.trim_matches('/').as_bytes())?,
            since: if by_people { span.since - BEFORE_A_RUN } else { span.since },
            until: span.until,
            by_people,
        };
        Ok(self.zones.bring_back(guard, &mount.zone, deletions).await?)
    }
}
