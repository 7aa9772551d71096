//! Lists in pages.

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Items<T> {
    pub items: Vec<T>,
    /// For `after` of the next page; null: this is the last.
    pub next: Option<String>,
}

/// What part of a list is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Most items of the answer, 1 to 1,000; 100 by default.
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

impl PageQuery {
    /// Cuts the page out of a list that is ordered by the key.
    pub(super) fn cut<T>(&self, all: Vec<T>, key: impl Fn(&T) -> String) -> Items<T> {
        let limit = self.limit.unwrap_or(100).clamp(1, 1000);
        let start = match &self.after {
            Some(after) => {
                all.iter().position(|item| key(item) == *after).map_or(all.len(), |at| at + 1)
            }
            None => 0,
        };
        let more = all.len() > start + limit;
        let items: Vec<T> = all.into_iter().skip(start).take(limit).collect();
        let next = if more { items.last().map(&key) } else { None };
        Items { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::PageQuery;

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = PageQuery { limit: Some(3), after };
            let items = page.cut((0..10).collect(), ToString::to_string);
            seen.extend(items.items);
            after = items.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }
}
