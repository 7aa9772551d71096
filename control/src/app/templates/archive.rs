//! A template as a zip file: `template.json` and `resources/…`.
//!
//! What is imported may be hostile: names are checked, links and other special entries refused, and what is unpacked is
//! bounded by what really comes out, not by what the headers promise.

use std::io::{Cursor, Read as _, Write as _};

use serde_json::Value;
use zip::{ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{
    RESOURCE_LIMIT_BYTES, RESOURCES_LIMIT,
    rules::{Resources, check_resource_path},
};

const SPEC: &str = "template.json";
const FOLDER: &str = "resources/";
/// Of everything unpacked together.
const TOTAL_LIMIT_BYTES: usize = 256 << 20;

/// Why a zip file is not a template.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("this is not a zip file that can be read")]
    Zip(#[from] ZipError),
    #[error("a file in it can't be read")]
    Io(#[from] std::io::Error),
    #[error("it has no template.json")]
    NoSpec,
    #[error("its template.json is not JSON")]
    Spec(#[from] serde_json::Error),
    #[error("its entry {name:?} is refused: {why}")]
    Entry { name: String, why: &'static str },
    #[error("it holds more than {what}")]
    TooLarge { what: &'static str },
}

pub(super) fn pack(spec: &Value, resources: &Resources) -> Result<Vec<u8>, ArchiveError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // A fixed time: the same template is the same file.
    let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    zip.start_file(SPEC, options)?;
    zip.write_all(&serde_json::to_vec_pretty(spec)?)?;
    for (path, bytes) in resources {
        zip.start_file(format!("{FOLDER}{path}"), options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

pub(super) fn unpack(bytes: &[u8]) -> Result<(Value, Resources), ArchiveError> {
    let mut zip = ZipArchive::new(Cursor::new(bytes))?;
    if zip.len() > 2 * RESOURCES_LIMIT {
        return Err(ArchiveError::TooLarge { what: "1,000 files" });
    }
    let (mut spec, mut resources, mut total) = (None, Resources::new(), 0);
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let name = entry.name()?.into_owned();
        let refuse = |why| ArchiveError::Entry { name: name.clone(), why };
        if entry.is_dir() {
            continue;
        }
        if !entry.is_file() || entry.is_symlink() {
            return Err(refuse("it is not a plain file"));
        }
        let mut content = Vec::new();
        entry.by_ref().take(RESOURCE_LIMIT_BYTES as u64 + 1).read_to_end(&mut content)?;
        if content.len() > RESOURCE_LIMIT_BYTES {
            return Err(ArchiveError::TooLarge { what: "16 MiB in one file" });
        }
        total += content.len();
        if total > TOTAL_LIMIT_BYTES {
            return Err(ArchiveError::TooLarge { what: "256 MiB in all" });
        }
        if name == SPEC {
            spec = Some(serde_json::from_slice(&content)?);
        } else if let Some(path) = name.strip_prefix(FOLDER) {
            check_resource_path(path)
                .map_err(|_| refuse("its name is not a plain relative path"))?;
            if resources.insert(path.to_owned(), content.into()).is_some() {
                return Err(refuse("it is there twice"));
            }
        } else {
            return Err(refuse("only template.json and resources/ belong here"));
        }
    }
    Ok((spec.ok_or(ArchiveError::NoSpec)?, resources))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same() {
        let spec = serde_json::json!({"label": "x", "blocks": []});
        let resources: Resources = [("a/b.sh".to_owned(), b"echo".to_vec().into())].into();
        let packed = pack(&spec, &resources).unwrap();
        assert_eq!(packed, pack(&spec, &resources).unwrap());
        assert_eq!(unpack(&packed).unwrap(), (spec, resources));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "resources/../evil",
            "resources//etc/passwd",
            "../evil",
            "/etc/passwd",
            "resources/a\\b",
            "x",
            "resources/a/./b",
        ] {
            let zip = zip_of(&[("template.json", b"{}"), (name, b"x")]);
            assert!(matches!(unpack(&zip), Err(ArchiveError::Entry { .. })), "{name}");
        }
    }

    #[test]
    fn symlinks_are_refused() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("template.json", SimpleFileOptions::default()).unwrap();
        zip.write_all(b"{}").unwrap();
        zip.add_symlink("resources/link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        let zip = zip.finish().unwrap().into_inner();
        assert!(matches!(unpack(&zip), Err(ArchiveError::Entry { .. })));
    }

    #[test]
    fn a_bomb_is_refused_by_what_comes_out_of_it() {
        let zip = zip_of(&[
            ("template.json", b"{}"),
            ("resources/bomb", &vec![0; RESOURCE_LIMIT_BYTES + 1]),
        ]);
        assert!(zip.len() < 1 << 20);
        assert!(matches!(unpack(&zip), Err(ArchiveError::TooLarge { .. })));
    }

    #[test]
    fn damaged_files_are_an_error_and_nothing_worse() {
        let good = pack(
            &serde_json::json!({"label": "x"}),
            &[("a".to_owned(), vec![1; 100].into())].into(),
        )
        .unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            // Either it is noticed or the byte does not matter; it must not panic.
            drop(unpack(&bad));
            drop(unpack(&good[..at]));
        }
    }
}
