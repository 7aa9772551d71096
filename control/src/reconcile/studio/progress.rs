//! Work that tells how far it is.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::JobError;

/// Does the work, and tells of it meanwhile, at most once a period. Both go on at once: what tells may need what the work holds just then, such as
/// the store's only writer.
pub(super) async fn told<T, P: Copy, F: Future<Output = Result<(), JobError>>>(
    work: impl Future<Output = T>,
    mut progress: watch::Receiver<P>,
    period: Duration,
    tell: impl Fn(P) -> F,
) -> Result<T, JobError> {
    let over = CancellationToken::new();
    let work = async {
        let done = work.await;
        over.cancel();
        done
    };
    let telling = async {
        let mut last = Instant::now();
        loop {
            let changed = tokio::select! {
                changed = progress.changed() => changed.is_ok(),
                () = over.cancelled() => false,
            };
            if !changed {
                return Ok(());
            }
            let now = *progress.borrow_and_update();
            if last.elapsed() >= period {
                last = Instant::now();
                tell(now).await?;
            }
        }
    };
    let (done, told) = tokio::join!(work, telling);
    told.map(|()| done)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_the_work_holds_is_not_waited_for_in_vain() {
        let (writer, said) = (Mutex::new(()), Mutex::new(Vec::new()));
        let (sender, progress) = watch::channel(0);
        let work = async {
            for step in 1..=3 {
                let _held = writer.lock().await;
                sender.send_replace(step);
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            "done"
        };
        let tell = |step: i32| {
            let (writer, said) = (&writer, &said);
            async move {
                let _needed = writer.lock().await;
                said.lock().await.push(step);
                Ok(())
            }
        };
        let done = tokio::time::timeout(
            Duration::from_secs(10),
            told(work, progress, Duration::from_millis(10), tell),
        )
        .await;
        assert_eq!(done.expect("neither waits for the other").unwrap(), "done");
        assert!(!said.lock().await.is_empty());
    }
}
