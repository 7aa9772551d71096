use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use super::{Content, Entry, Kind, LayerError, Owners, Packing, of_folder, write};
use crate::builder::registry::{Digest, media_types};

fn file(path: &str, text: &str, executable: bool) -> Entry {
    let content = Content::Bytes(text.as_bytes().into());
    Entry::new(path, Kind::File { content, executable })
}

fn unpacked(path: &Path, packing: Packing) -> Vec<u8> {
    let packed = fs::File::open(path).unwrap();
    let mut bytes = Vec::new();
    match packing {
        Packing::Zstd => zstd::Decoder::new(packed).unwrap().read_to_end(&mut bytes).unwrap(),
        Packing::Gzip => flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap(),
    };
    bytes
}

/// Path, mode and content (or target) of all entries; every one without time and owner.
fn listed(archive: &[u8]) -> Vec<(String, u32, String)> {
    let mut archive = tar::Archive::new(archive);
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(
            (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
            (0, 0, 0)
        );
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            text = target.display().to_string();
        }
        found.push((entry.path().unwrap().display().to_string(), header.mode().unwrap(), text));
    }
    found
}

#[test]
fn a_layer_is_the_same_to_the_byte_whatever_the_order_and_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let entries = || {
        vec![
            file("opt/studio/b", "B", true),
            file("opt/studio-x", "X", false),
            file("opt/studio/a/deep", "A", false),
        ]
    };
    for packing in [Packing::Zstd, Packing::Gzip] {
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let layer = write(entries(), packing, &one).unwrap();
        let mut reversed = entries();
        reversed.reverse();
        assert_eq!(write(reversed, packing, &two).unwrap(), layer);
        let bytes = fs::read(&one).unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (layer.blob.digest, layer.blob.size));
        let archive = unpacked(&one, packing);
        assert_eq!(Digest::of(&archive), layer.diff_id);
        // What every machine of every release must come to, unless the format is changed on purpose.
        assert_eq!(
            layer.diff_id.hex(),
            "1715c01b954f405ec1e642f5a367977b1d5386bc1d3fce26b362bafc1ce77734"
        );
        assert_eq!(
            listed(&archive),
            [
                ("opt/studio/".to_owned(), 0o775, String::new()),
                ("opt/studio/a/".to_owned(), 0o775, String::new()),
                ("opt/studio/a/deep".to_owned(), 0o664, "A".to_owned()),
                ("opt/studio/b".to_owned(), 0o775, "B".to_owned()),
                ("opt/studio-x".to_owned(), 0o664, "X".to_owned()),
            ]
        );
    }
    let gzip = write(entries(), Packing::Gzip, &folder.path().join("x")).unwrap();
    assert_eq!(gzip.blob.media_type, media_types::LAYER_GZIP);
}

#[test]
fn a_folder_becomes_a_layer_with_its_links_and_without_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let long = "long-".repeat(30);
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::create_dir(tree.join(&long)).unwrap();
    for (name, mode) in
        [("bin/tool", 0o4755), ("private", 0o600), (&*format!("{long}/file"), 0o444)]
    {
        fs::write(tree.join(name), name).unwrap();
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("../private", tree.join("bin/link")).unwrap();
    fs::hard_link(tree.join("private"), tree.join("same")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap());
    let out = folder.path().join("layer");
    write(of_folder(&tree, "opt/studio/x", Owners::Root).unwrap(), Packing::Zstd, &out).unwrap();
    let found: BTreeMap<String, (u32, String)> = listed(&unpacked(&out, Packing::Zstd))
        .into_iter()
        .map(|(path, mode, text)| (path, (mode, text)))
        .collect();
    let at = |path: &str| found.get(&format!("opt/studio/x/{path}")).cloned().unwrap();
    assert_eq!(at("bin/tool"), (0o775, "bin/tool".to_owned()));
    assert_eq!(at("private"), (0o664, "private".to_owned()));
    assert_eq!(at("bin/link"), (0o777, "../private".to_owned()));
    assert_eq!(at("same").1, "opt/studio/x/private");
    assert_eq!(at(&format!("{long}/file")).1, format!("{long}/file"));
    // The folders opt/studio and opt/studio/x, and the two in it.
    assert_eq!(found.len(), 4 + 5);
}

#[test]
fn a_base_keeps_whose_its_files_are() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("tmp")).unwrap();
    fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(tree.join("passwd"), "").unwrap();
    fs::set_permissions(tree.join("passwd"), fs::Permissions::from_mode(0o4750)).unwrap();
    let entries = of_folder(&tree, "", Owners::Kept).unwrap();
    let us = fs::metadata(&tree).unwrap();
    let us = (u64::from(us.uid()), u64::from(us.gid()));
    assert!(entries.iter().all(|entry| entry.owner.is_some_and(|it| (it.user, it.group) == us)));
    let out = folder.path().join("layer");
    write(entries, Packing::Gzip, &out).unwrap();
    let unpacked = unpacked(&out, Packing::Gzip);
    let mut archive = tar::Archive::new(unpacked.as_slice());
    let found: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
        })
        .collect();
    assert_eq!(found, [("passwd".to_owned(), 0o4750), ("tmp/".to_owned(), 0o1777)]);
}

#[test]
fn no_path_leads_out_of_an_image_or_deletes_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["", "/etc/passwd", "a/../../etc", "a//b", "a/.wh.b", "a\0b", "a/"] {
        let written = write(vec![file(path, "", false)], Packing::Zstd, &folder.path().join("x"));
        assert!(matches!(written, Err(LayerError::Path { .. })), "{path:?}");
    }
    let gone = Content::File(folder.path().join("gone"), 3);
    let entry = Entry::new("a", Kind::File { content: gone, executable: false });
    let written = write(vec![entry], Packing::Zstd, &folder.path().join("x"));
    assert!(matches!(written, Err(LayerError::Read { .. })), "{written:?}");
}
