//! Several threads at work for one.

use std::{
    collections::VecDeque,
    sync::{Condvar, LazyLock, Mutex, PoisonError},
};

/// Most threads of one side.
const MOST: usize = 4;
/// Items that are worked on at once: so threads wake each other less often.
const RUN: usize = 16;
/// Runs whose results may wait until they are taken.
const WINDOW: usize = 16;

/// How many are worth their while on this machine. Asked for once, as the system reads several files to answer.
pub(crate) fn count() -> usize {
    static COUNT: LazyLock<usize> = LazyLock::new(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST)
    });
    *COUNT
}

/// A thread for each item, one of them the caller's.
pub(crate) fn each<T: Send, R: Send>(mut items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let Some(mine) = items.pop() else { return Vec::new() };
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<_> =
            items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let mine = work(mine);
        let others = others.into_iter().map(|other| match other.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        others.chain(std::iter::once(mine)).collect()
    })
}

/// The same work in as many threads as are worth their while.
pub(crate) fn together<R: Send>(work: impl Fn() -> R + Sync) -> Vec<R> {
    each(vec![(); count()], |()| work())
}

struct Progress<R> {
    /// Of the run that is begun next.
    next: usize,
    /// Of the run whose results are taken next.
    first: usize,
    /// From `first` on; `None`: not done yet.
    results: VecDeque<Option<Vec<R>>>,
    ended: bool,
}

/// Ends the work of all when whoever holds it is done, or only when they panic over it: nobody waits for what never comes.
struct End<F: Fn()> {
    always: bool,
    end: F,
}

impl<F: Fn()> Drop for End<F> {
    fn drop(&mut self) {
        if self.always || std::thread::panicking() {
            (self.end)();
        }
    }
}

/// Works on items ahead of what takes the results, in their order.
pub(crate) fn ahead<'t, T: Sync, R: Send, E>(
    items: &'t [T],
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(&'t T, R) -> Result<(), E>,
) -> Result<(), E> {
    if items.len() <= RUN {
        return items.iter().try_for_each(|item| take(item, work(item)));
    }
    let progress = Progress { next: 0, first: 0, results: VecDeque::new(), ended: false };
    let progress = Mutex::new(progress);
    let (room, ready) = (Condvar::new(), Condvar::new());
    let lock = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    let end = || {
        lock().ended = true;
        room.notify_all();
        ready.notify_all();
    };
    let runs: Vec<&[T]> = items.chunks(RUN).collect();
    let begin = || {
        let mut now = lock();
        while !now.ended && now.next < runs.len() {
            if now.next < now.first + WINDOW {
                now.next += 1;
                now.results.push_back(None);
                return Some(now.next - 1);
            }
            now = room.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        None
    };
    let worker = || {
        let _end = End { always: false, end };
        while let Some(at) = begin() {
            let Some(run) = runs.get(at) else { break };
            let results = run.iter().map(&work).collect();
            let mut now = lock();
            let place = at - now.first;
            if let Some(slot) = now.results.get_mut(place) {
                *slot = Some(results);
            }
            if place == 0 {
                ready.notify_one();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..count().min(runs.len()) {
            scope.spawn(worker);
        }
        let _end = End { always: true, end };
        for run in &runs {
            let results = {
                let mut now = lock();
                while !matches!(now.results.front(), Some(Some(_))) {
                    if now.ended {
                        // A worker panicked, and so does the scope.
                        return Ok(());
                    }
                    now = ready.wait(now).unwrap_or_else(PoisonError::into_inner);
                }
                now.first += 1;
                now.results.pop_front().flatten().unwrap_or_default()
            };
            room.notify_one();
            for (item, result) in run.iter().zip(results) {
                take(item, result)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        let items: Vec<usize> = (0..1_000).collect();
        let mut taken = Vec::new();
        let end: Result<(), ()> = ahead(
            &items,
            |item| item * 2,
            |item, result| {
                assert_eq!(result, item * 2);
                taken.push(*item);
                Ok(())
            },
        );
        assert_eq!((end, taken), (Ok(()), items.clone()));
        let end = ahead(
            &items,
            |item| *item,
            |_, result| if result == 500 { Err(result) } else { Ok(()) },
        );
        assert_eq!(end, Err(500));
        assert_eq!(ahead(&[] as &[u8], |item| *item, |_, _| Err(())), Ok(()));
    }

    #[test]
    fn a_panic_of_either_end_leaves_nobody_waiting() {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        let items: Vec<usize> = (0..10_000).collect();
        for (worker, taker) in [(Some(700), None), (None, Some(700)), (Some(0), None)] {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                ahead(
                    &items,
                    |item| assert!(Some(*item) != worker, "on purpose"),
                    |item, ()| {
                        assert!(Some(*item) != taker, "on purpose");
                        Ok::<(), ()>(())
                    },
                )
            }));
            assert!(ended.is_err(), "{worker:?} {taker:?}");
        }
    }
}
