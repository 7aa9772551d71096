//! Files of the studio, from outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Agent, Connection, ControlPlane, within};
use proto::agent::v1::{
    ListFilesRequest, ReadFileRequest, StatRequest, WriteFileRequest, file_info::Kind,
};

async fn studio() -> (ControlPlane, Agent, Connection) {
    let control_plane = ControlPlane::new().await;
    let agent = Agent::start(&control_plane);
    let connection = control_plane.admit().await;
    connection.launch(agent.manifest()).await;
    (control_plane, agent, connection)
}

#[tokio::test]
async fn written_read_listed_in_pages() {
    let (_control_plane, agent, connection) = studio().await;
    let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut path: Option<&[u8]> = Some(b"b\xff.bin");
    let messages: Vec<_> = content
        .chunks(64 << 10)
        .map(|data| WriteFileRequest {
            path: path.take().unwrap_or_default().into(),
            mode: 0o750,
            data: data.to_vec().into(),
            ..WriteFileRequest::default()
        })
        .collect();
    let info = connection.files().write(tokio_stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!(
        (info.kind(), info.size, info.mode, &info.name[..]),
        (Kind::File, 300_000, 0o750, &b"b\xff.bin"[..])
    );
    let workspace = agent.path("home/workspace");
    std::os::unix::fs::symlink("nowhere", workspace.join("a")).unwrap();
    std::fs::create_dir(workspace.join("c")).unwrap();

    let request = ReadFileRequest { path: b"b\xff.bin"[..].into(), from: 100_000, length: 150_000 };
    let mut data = Vec::new();
    let mut stream = connection.files().read(request).await.unwrap().into_inner();
    while let Some(piece) = within("data", stream.message()).await.unwrap() {
        data.extend_from_slice(&piece.data);
    }
    assert!(data == content[100_000..250_000]);

    let list = async |after: &'static [u8]| {
        let request = ListFilesRequest { path: b""[..].into(), after: after.into(), limit: 2 };
        connection.files().list(request).await.unwrap().into_inner()
    };
    let first = list(b"").await;
    assert_eq!((first.entries.len(), first.more), (2, true));
    assert_eq!(first.entries[0].link_target[..], b"nowhere"[..]);
    let second = list(b"b\xff.bin").await;
    assert_eq!(
        (second.entries.len(), second.more, second.entries[0].kind()),
        (1, false, Kind::Folder)
    );
}

#[tokio::test]
async fn a_content_that_breaks_off_is_not_taken_for_the_whole() {
    let (_control_plane, agent, connection) = studio().await;
    let file = agent.path("home/workspace/f");
    std::fs::write(&file, "old").unwrap();
    let first = WriteFileRequest {
        path: b"f"[..].into(),
        data: b"the first half"[..].into(),
        marks_last: true,
        ..WriteFileRequest::default()
    };
    let refused = connection.files().write(tokio_stream::iter([first.clone()])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Aborted);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    let last = WriteFileRequest {
        data: b" and the second"[..].into(),
        last: true,
        ..WriteFileRequest::default()
    };
    connection.files().write(tokio_stream::iter([first, last])).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the first half and the second");
    let left: Vec<_> = std::fs::read_dir(agent.path("home/workspace")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays");
}

#[tokio::test]
async fn what_can_not_be_is_refused() {
    let (_control_plane, agent, connection) = studio().await;
    let stat = async |path: &'static [u8]| {
        connection.files().stat(StatRequest { path: path.into() }).await.unwrap_err().code()
    };
    assert_eq!(stat(b"nothing").await, tonic::Code::NotFound);
    assert_eq!(stat(b"a\0b").await, tonic::Code::InvalidArgument);
    let fifo = agent.path("home/workspace/fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let request = ReadFileRequest { path: b"fifo"[..].into(), ..ReadFileRequest::default() };
    let refused = within("a refusal", connection.files().read(request)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let folder = WriteFileRequest { path: b"."[..].into(), ..WriteFileRequest::default() };
    let refused = connection.files().write(tokio_stream::iter([folder])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let left: Vec<_> = std::fs::read_dir(agent.path("home/workspace")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays");
}
