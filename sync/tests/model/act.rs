//! What happens in a world.

use proptest::prelude::*;

/// Few, so that they meet; some are folders of others.
pub(crate) const PATHS: [&str; 11] =
    ["a", "b", "c", "d", "d/a", "d/b", "d/e/a", "d/e", "a/x", "b/y", "g/d"];

/// A user's own.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Write {
        path: usize,
        content: u16,
    },
    /// As many bytes as before, in place, and the old time of modification put back: nothing shows but the change itself.
    Tick {
        path: usize,
        content: u16,
    },
    Remove {
        path: usize,
    },
    Folder {
        path: usize,
    },
    Rename {
        from: usize,
        to: usize,
    },
    Executable {
        path: usize,
        on: bool,
    },
    Link {
        path: usize,
    },
    /// A time of modification, in seconds since 1970.
    Stamp {
        path: usize,
        time: i64,
    },
    Wipe,
}

/// What happens to messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    Cut,
    Corrupt(usize),
    Lose,
    Repeat,
    Swap,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    User {
        studio: bool,
        deed: Deed,
    },
    Sync {
        direction: u8,
        both: bool,
    },
    /// Somebody decides on every conflict that there is.
    Resolve {
        choice: u8,
    },
    /// After so many effects of one side nothing has any effect any more.
    Crash {
        studio: bool,
        effects: u64,
    },
    Full {
        studio: bool,
        effects: u64,
    },
    /// After so many effects the power is gone, and with it what was not brought onto the disk.
    Power {
        studio: bool,
        effects: u64,
    },
    /// Both sides look only where something changed from now on, or at everything.
    Watch {
        on: bool,
    },
    /// A user does something before that effect.
    During {
        studio: bool,
        effects: u64,
        deed: Deed,
    },
    /// A user writes at the very path that the run is about to fill, right before it does.
    Aim {
        studio: bool,
        nth: u64,
        content: u16,
    },
    Message {
        studio: bool,
        number: u64,
        trouble: Trouble,
    },
    /// The side's clock is there from now on, in seconds since 1970.
    Clock {
        studio: bool,
        time: u64,
    },
    /// What the side remembers is lost.
    Forget {
        studio: bool,
    },
    NewPod,
}

fn deed() -> impl Strategy<Value = Deed> {
    let path = || 0..PATHS.len();
    let times = prop::sample::select(vec![-2_000_000_000, 0, 1, 1_700_000_000, 4_294_967_296]);
    prop_oneof![
        8 => (path(), 0u16..40).prop_map(|(path, content)| Deed::Write { path, content }),
        3 => (path(), 0u16..40).prop_map(|(path, content)| Deed::Tick { path, content }),
        3 => path().prop_map(|path| Deed::Remove { path }),
        1 => path().prop_map(|path| Deed::Folder { path }),
        6 => (path(), path()).prop_map(|(from, to)| Deed::Rename { from, to }),
        1 => (path(), any::<bool>()).prop_map(|(path, on)| Deed::Executable { path, on }),
        1 => path().prop_map(|path| Deed::Link { path }),
        1 => (path(), times).prop_map(|(path, time)| Deed::Stamp { path, time }),
    ]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        2 => Just(Trouble::Cut),
        2 => any::<usize>().prop_map(Trouble::Corrupt),
        1 => Just(Trouble::Lose),
        1 => Just(Trouble::Repeat),
        1 => Just(Trouble::Swap),
    ]
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    let side = any::<bool>;
    let times =
        prop::sample::select(vec![0, 1_700_000_000, 1_800_000_000, 4_294_967_295, 9_000_000_000]);
    prop_oneof![
        20 => (side(), deed()).prop_map(|(studio, deed)| Act::User { studio, deed }),
        1 => side().prop_map(|studio| Act::User { studio, deed: Deed::Wipe }),
        5 => (0u8..3, any::<bool>()).prop_map(|(direction, both)| Act::Sync { direction, both }),
        1 => (0u8..4).prop_map(|choice| Act::Resolve { choice }),
        3 => (side(), 0u64..60).prop_map(|(studio, effects)| Act::Crash { studio, effects }),
        1 => (side(), 0u64..30).prop_map(|(studio, effects)| Act::Full { studio, effects }),
        2 => (side(), 0u64..60).prop_map(|(studio, effects)| Act::Power { studio, effects }),
        1 => any::<bool>().prop_map(|on| Act::Watch { on }),
        3 => (side(), 0u64..50, deed())
            .prop_map(|(studio, effects, deed)| Act::During { studio, effects, deed }),
        2 => (side(), 0u64..4, 0u16..40)
            .prop_map(|(studio, nth, content)| Act::Aim { studio, nth, content }),
        3 => (side(), 0u64..8, trouble())
            .prop_map(|(studio, number, trouble)| Act::Message { studio, number, trouble }),
        1 => (side(), times).prop_map(|(studio, time)| Act::Clock { studio, time }),
        1 => side().prop_map(|studio| Act::Forget { studio }),
        1 => Just(Act::NewPod),
    ]
}
