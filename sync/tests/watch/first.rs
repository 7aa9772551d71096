//! A root is watched from the first copy on: nobody would hear of a change else before somebody else brings a run about.

use std::{
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use sync::{Sight, Watch};

use crate::common::{Pair, read, write};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_zone_is_watched_from_its_first_copy_on() {
    for files in [0, 500] {
        let mut pair = Pair::in_memory();
        let (tell, told) = sync_channel(1);
        let watch = Arc::new(Watch::new(move || {
            // Once is enough.
            tell.try_send(()).ok();
        }));
        pair.server_watch = Some(Arc::clone(&watch));
        for number in 0..files {
            write(pair.server(&format!("in/{}/{number}", number % 10)), "x");
        }
        pair.sync();
        assert!(matches!(watch.sight(), Sight::Watching { .. }), "{files}: {:?}", watch.sight());
        let name = if files == 0 { "new" } else { "in/7/new" };
        write(pair.server(name), "new");
        told.recv_timeout(PATIENCE).unwrap();
        pair.sync();
        assert_eq!(read(pair.studio(name)), "new");
        pair.server_watch = None;
        pair.assert_settled();
    }
}
