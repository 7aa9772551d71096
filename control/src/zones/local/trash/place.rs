//! Where an item lies, and how that is written as its id: `FOLDER` for what was deleted by itself, `FOLDER~THING` for one thing of
//! a synchronisation's, and behind either `~~PATH` for what lies in it; `~=BASE64` where that path is no text.

use data_encoding::BASE64URL_NOPAD;

use super::THING;
use crate::domain::zone_files::ZonePath;

/// Between a folder and a thing in it; neither has one.
const SEPARATOR: char = '~';
const WITHIN: &str = "~~";
/// Before a path that is encoded; no thing begins with it.
const WITHIN_ENCODED: &str = "~=";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: String,
    /// Its name, in the folder of a synchronisation.
    pub(super) thing: Option<String>,
    pub(super) within: Option<ZonePath>,
}

impl Place {
    pub(super) fn of(id: &str) -> Option<Self> {
        let encoded = id.find(WITHIN_ENCODED);
        let (item, within) = match (id.find(WITHIN), encoded) {
            (Some(at), encoded) if encoded.is_none_or(|encoded| at < encoded) => {
                let (item, path) = id.split_at_checked(at)?;
                (item, Some(path.strip_prefix(WITHIN)?.as_bytes().to_vec()))
            }
            (_, Some(at)) => {
                let (item, path) = id.split_at_checked(at)?;
                let path = path.strip_prefix(WITHIN_ENCODED)?;
                (item, Some(BASE64URL_NOPAD.decode(path.as_bytes()).ok()?))
            }
            (_, None) => (id, None),
        };
        let within = within.map(|path| ZonePath::try_from(path.as_slice())).transpose().ok()?;
        if within.as_ref().is_some_and(ZonePath::is_root) {
            return None;
        }
        let (folder, thing) = match item.split_once(SEPARATOR) {
            Some((folder, thing)) => (folder, Some(thing)),
            None => (item, None),
        };
        let is_name = |name: &str| {
            !name.is_empty() && !name.contains('/') && ZonePath::try_from(name.as_bytes()).is_ok()
        };
        let is_sound = is_name(folder) && thing.is_none_or(is_name);
        is_sound.then(|| Self {
            folder: folder.to_owned(),
            thing: thing.map(str::to_owned),
            within,
        })
    }

    pub(super) fn id(&self) -> String {
        let thing = self.thing.iter().map(|thing| format!("{SEPARATOR}{thing}"));
        let within = self.within.iter().map(|path| match std::str::from_utf8(path.as_bytes()) {
            Ok(path) => format!("{WITHIN}{path}"),
            Err(_) => format!("{WITHIN_ENCODED}{}", BASE64URL_NOPAD.encode(path.as_bytes())),
        });
        std::iter::once(self.folder.clone()).chain(thing).chain(within).collect()
    }

    /// What it is called in the trash's folder.
    pub(super) fn name(&self) -> &[u8] {
        self.thing.as_deref().map_or(THING, str::as_bytes)
    }

    /// Where it was, if the item itself was at `item`.
    pub(super) fn path(&self, item: &ZonePath) -> ZonePath {
        let within = self.within.iter().flat_map(ZonePath::components);
        within.fold(item.clone(), |path, name| path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_it_lies() {
        for (thing, within) in [
            (None, None),
            (Some("t"), None),
            (None, Some(&b"a/b"[..])),
            (Some("t"), Some(&b"~a~~b~=c"[..])),
            (Some("t"), Some(&b"a/\xff"[..])),
            (None, Some(&b"\xff~~"[..])),
        ] {
            let within = within.map(|path| ZonePath::try_from(path).unwrap());
            let place = Place { folder: "1-a".to_owned(), thing: thing.map(str::to_owned), within };
            assert_eq!(Place::of(&place.id()), Some(place));
        }
        for hostile in
            ["", "~", "~t", "a~", "a~..", "..", "a/b", "a~~", "a~~..", "a~=", "a~=Li4", "a~b~c/d"]
        {
            assert_eq!(Place::of(hostile), None, "{hostile}");
        }
    }
}
